"""Rules that handlers ask for by name, and checks the kit has no constant for."""

from pileus.kit.policy import ADMIN, ADMIN_OR_SERVICE, PROJECT_MEMBER, PROJECT_READER, Rule

READER = f"({PROJECT_READER}) or role:service"
MEMBER = f"({PROJECT_MEMBER}) or role:service"
GRANTED_SHOW = f"{READER} or True:%(granted)s"        # to its project, or to whom it is shared with
NETWORK_OWNER_READER = f"{READER} or (role:reader and project_id:%(network:project_id)s)"
NETWORK_OWNER_MEMBER = f"{MEMBER} or (role:member and project_id:%(network:project_id)s)"
TRUSTED = f"{ADMIN_OR_SERVICE} or (role:member and project_id:%(network:project_id)s)"

PROVIDER = ("provider:network_type", "provider:physical_network", "provider:segmentation_id")
BINDING = ("binding:host_id", "binding:profile", "binding:vif_type", "binding:vif_details")

RULES = (
    *(Rule(f"{verb}_network:{name}", ADMIN) for verb in ("create", "update") for name in (
        "shared", "router:external", "is_default", *PROVIDER)),
    Rule("create_network:port_security_enabled", MEMBER),
    Rule("update_network:port_security_enabled", MEMBER),
    *(Rule(f"get_network:{name}", ADMIN) for name in PROVIDER),
    *(Rule(f"{verb}_port:{name}", ADMIN_OR_SERVICE) for verb in ("create", "update") for name in (
        "binding:host_id", "binding:profile")),
    *(Rule(f"{verb}_port:{name}", ADMIN) for verb in ("create", "update") for name in ("trusted", "hints")),
    Rule("update_port:data_plane_status", f"{ADMIN} or role:data_plane_integrator"),
    *(Rule(f"get_port:{name}", ADMIN_OR_SERVICE) for name in (*BINDING, "resource_request")),
    *(Rule(f"{verb}_port:{name}", TRUSTED) for verb in ("create", "update") for name in (
        "fixed_ips:ip_address", "mac_address", "port_security_enabled", "allowed_address_pairs")),
    *(Rule(f"{verb}_port:device_owner", f"not rule:network_device or {TRUSTED}") for verb in ("create", "update")),
    Rule("network_device", "'network':%(device_owner_kind)s"),
    Rule("create_port:id", ADMIN_OR_SERVICE),
    Rule("create_router:external_gateway_info:enable_snat", ADMIN),
    Rule("create_router:external_gateway_info:external_fixed_ips", ADMIN),
    Rule("update_router:external_gateway_info:enable_snat", ADMIN),
    Rule("update_router:external_gateway_info:external_fixed_ips", ADMIN),
    *(Rule(f"{verb}_external_gateways:external_gateways:{name}", ADMIN) for verb in ("add", "update") for name in (
        "enable_snat", "external_fixed_ips")),
    Rule("get_router:host", ADMIN),
    *(Rule(f"{verb}_router:{name}", ADMIN) for verb in ("create", "update") for name in (
        "distributed", "ha", "enable_default_route_ecmp", "enable_default_route_bfd")),
    Rule("create_floatingip:floating_ip_address", ADMIN),
    *(Rule(f"{verb}_rbac_policy:target_tenant", ADMIN) for verb in ("create", "update")),
    *(Rule(f"{verb}_address_scope:shared", ADMIN) for verb in ("create", "update")),
    Rule("create_subnetpool:shared", ADMIN),
    Rule("create_subnetpool:is_default", ADMIN),
    Rule("update_subnetpool:is_default", ADMIN),
)
