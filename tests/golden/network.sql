CREATE TABLE address (
    subnet_id VARCHAR(36) NOT NULL,
    number VARCHAR(32) NOT NULL,
    ip VARCHAR(45) NOT NULL,
    port_id VARCHAR(36) NOT NULL,
    place INTEGER NOT NULL,
    CONSTRAINT address_pk PRIMARY KEY (subnet_id, number),
    CONSTRAINT address_port_id_fk FOREIGN KEY(port_id) REFERENCES port (id) ON DELETE CASCADE,
    CONSTRAINT address_subnet_id_fk FOREIGN KEY(subnet_id) REFERENCES subnet (id)
);

CREATE INDEX address_ip_ix ON address (ip);

CREATE INDEX address_port_id_ix ON address (port_id);

CREATE TABLE address_group (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description VARCHAR(255) NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    addresses TEXT NOT NULL,
    CONSTRAINT address_group_pk PRIMARY KEY (id)
);

CREATE INDEX address_group_by_project ON address_group (project_id, id);

CREATE TABLE address_scope (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description VARCHAR(255) NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    ip_version INTEGER NOT NULL,
    shared BOOLEAN NOT NULL,
    CONSTRAINT address_scope_pk PRIMARY KEY (id)
);

CREATE INDEX address_scope_by_project ON address_scope (project_id, id);

CREATE TABLE agent (
    id VARCHAR(36) NOT NULL,
    admin_state_up BOOLEAN NOT NULL,
    description VARCHAR(255) NOT NULL,
    CONSTRAINT agent_pk PRIMARY KEY (id)
);

CREATE TABLE auto_allocated_topology (
    project_id VARCHAR(64) NOT NULL,
    network_id VARCHAR(36) NOT NULL,
    router_id VARCHAR(36) NOT NULL,
    CONSTRAINT auto_allocated_topology_pk PRIMARY KEY (project_id),
    CONSTRAINT auto_allocated_topology_network_id_fk FOREIGN KEY(network_id) REFERENCES network (id) ON DELETE CASCADE,
    CONSTRAINT auto_allocated_topology_router_id_fk FOREIGN KEY(router_id) REFERENCES router (id) ON DELETE CASCADE
);

CREATE INDEX auto_allocated_topology_network_id_ix ON auto_allocated_topology (network_id);

CREATE INDEX auto_allocated_topology_router_id_ix ON auto_allocated_topology (router_id);

CREATE TABLE conntrack_helper (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description VARCHAR(255) NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    router_id VARCHAR(36) NOT NULL,
    protocol VARCHAR(8) NOT NULL,
    port INTEGER NOT NULL,
    helper VARCHAR(16) NOT NULL,
    CONSTRAINT conntrack_helper_pk PRIMARY KEY (id),
    CONSTRAINT conntrack_helper_router_id_fk FOREIGN KEY(router_id) REFERENCES router (id) ON DELETE CASCADE,
    CONSTRAINT conntrack_helper_router_id_protocol_port_uq UNIQUE (router_id, protocol, port)
);

CREATE INDEX conntrack_helper_by_project ON conntrack_helper (project_id, id);

CREATE TABLE default_security_group_rule (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description VARCHAR(255) NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    direction VARCHAR(8) NOT NULL,
    ethertype VARCHAR(8) NOT NULL,
    protocol VARCHAR(40),
    port_range_min INTEGER,
    port_range_max INTEGER,
    remote_ip_prefix VARCHAR(64),
    remote_group_id VARCHAR(36),
    remote_address_group_id VARCHAR(36),
    used_in_default_sg BOOLEAN NOT NULL,
    used_in_non_default_sg BOOLEAN NOT NULL,
    meaning VARCHAR(255) NOT NULL,
    CONSTRAINT default_security_group_rule_pk PRIMARY KEY (id),
    CONSTRAINT default_security_group_rule_meaning_uq UNIQUE (meaning),
    CONSTRAINT default_security_group_rule_remote_address_group_id_fk FOREIGN KEY(remote_address_group_id) REFERENCES address_group (id)
);

CREATE INDEX default_security_group_rule_by_project ON default_security_group_rule (project_id, id);

CREATE TABLE default_statefulness (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description VARCHAR(255) NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    stateful BOOLEAN NOT NULL,
    CONSTRAINT default_statefulness_pk PRIMARY KEY (id),
    CONSTRAINT default_statefulness_project_id_uq UNIQUE (project_id)
);

CREATE INDEX default_statefulness_by_project ON default_statefulness (project_id, id);

CREATE TABLE dhcp_exclusion (
    network_id VARCHAR(36) NOT NULL,
    host VARCHAR(255) NOT NULL,
    CONSTRAINT dhcp_exclusion_pk PRIMARY KEY (network_id, host),
    CONSTRAINT dhcp_exclusion_network_id_fk FOREIGN KEY(network_id) REFERENCES network (id) ON DELETE CASCADE
);

CREATE TABLE flavor (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description VARCHAR(255) NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    service_type VARCHAR(36) NOT NULL,
    enabled BOOLEAN NOT NULL,
    CONSTRAINT flavor_pk PRIMARY KEY (id)
);

CREATE INDEX flavor_by_project ON flavor (project_id, id);

CREATE TABLE flavor_service_profile (
    flavor_id VARCHAR(36) NOT NULL,
    service_profile_id VARCHAR(36) NOT NULL,
    CONSTRAINT flavor_service_profile_pk PRIMARY KEY (flavor_id, service_profile_id),
    CONSTRAINT flavor_service_profile_flavor_id_fk FOREIGN KEY(flavor_id) REFERENCES flavor (id) ON DELETE CASCADE,
    CONSTRAINT flavor_service_profile_service_profile_id_fk FOREIGN KEY(service_profile_id) REFERENCES service_profile (id)
);

CREATE INDEX flavor_service_profile_service_profile_id_ix ON flavor_service_profile (service_profile_id);

CREATE TABLE floatingip (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description VARCHAR(255) NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    floating_network_id VARCHAR(36) NOT NULL,
    floating_ip_address VARCHAR(45) NOT NULL,
    floating_port_id VARCHAR(36) NOT NULL,
    port_id VARCHAR(36),
    fixed_ip_address VARCHAR(45),
    router_id VARCHAR(36),
    status VARCHAR(16) NOT NULL,
    dns_name VARCHAR(255) NOT NULL,
    dns_domain VARCHAR(255) NOT NULL, qos_policy_id VARCHAR(36) CONSTRAINT floatingip_qos_policy_id_fk REFERENCES qos_policy (id),
    CONSTRAINT floatingip_pk PRIMARY KEY (id),
    CONSTRAINT floatingip_floating_network_id_fk FOREIGN KEY(floating_network_id) REFERENCES network (id),
    CONSTRAINT floatingip_floating_port_id_fk FOREIGN KEY(floating_port_id) REFERENCES port (id),
    CONSTRAINT floatingip_port_id_fk FOREIGN KEY(port_id) REFERENCES port (id) ON DELETE SET NULL,
    CONSTRAINT floatingip_router_id_fk FOREIGN KEY(router_id) REFERENCES router (id),
    CONSTRAINT floatingip_floating_network_id_port_id_fixed_ip_address_uq UNIQUE (floating_network_id, port_id, fixed_ip_address),
    CONSTRAINT floatingip_floating_port_id_uq UNIQUE (floating_port_id)
);

CREATE INDEX floatingip_by_project ON floatingip (project_id, id);

CREATE INDEX floatingip_floating_ip_address_ix ON floatingip (floating_ip_address);

CREATE INDEX floatingip_floating_network_id_ix ON floatingip (floating_network_id);

CREATE INDEX floatingip_port_id_ix ON floatingip (port_id);

CREATE INDEX floatingip_qos_policy_id_ix ON floatingip (qos_policy_id);

CREATE INDEX floatingip_router_id_ix ON floatingip (router_id);

CREATE TABLE further_gateway (
    port_id VARCHAR(36) NOT NULL,
    router_id VARCHAR(36) NOT NULL,
    network_id VARCHAR(36) NOT NULL,
    number INTEGER NOT NULL,
    CONSTRAINT further_gateway_pk PRIMARY KEY (port_id),
    CONSTRAINT further_gateway_port_id_fk FOREIGN KEY(port_id) REFERENCES port (id),
    CONSTRAINT further_gateway_router_id_fk FOREIGN KEY(router_id) REFERENCES router (id),
    CONSTRAINT further_gateway_network_id_fk FOREIGN KEY(network_id) REFERENCES network (id)
);

CREATE INDEX further_gateway_network_id_ix ON further_gateway (network_id);

CREATE INDEX further_gateway_router_id_ix ON further_gateway (router_id);

CREATE TABLE host (
    name VARCHAR(255) NOT NULL,
    id VARCHAR(36) NOT NULL,
    underlay_ip VARCHAR(45) NOT NULL,
    created_at DOUBLE NOT NULL,
    started_at DOUBLE NOT NULL,
    seen_at DOUBLE NOT NULL,
    seq BIGINT NOT NULL,
    digest VARCHAR(64) NOT NULL,
    confirmed BIGINT NOT NULL,
    error VARCHAR(255) NOT NULL,
    CONSTRAINT host_pk PRIMARY KEY (name),
    CONSTRAINT host_id_uq UNIQUE (id)
);

CREATE TABLE local_ip (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description VARCHAR(255) NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    network_id VARCHAR(36) NOT NULL,
    local_port_id VARCHAR(36) NOT NULL,
    local_ip_address VARCHAR(45) NOT NULL,
    ip_mode VARCHAR(16) NOT NULL,
    CONSTRAINT local_ip_pk PRIMARY KEY (id),
    CONSTRAINT local_ip_local_port_id_fk FOREIGN KEY(local_port_id) REFERENCES port (id)
);

CREATE INDEX local_ip_by_project ON local_ip (project_id, id);

CREATE INDEX local_ip_local_port_id_ix ON local_ip (local_port_id);

CREATE INDEX local_ip_network_id_ix ON local_ip (network_id);

CREATE TABLE local_ip_association (
    local_ip_id VARCHAR(36) NOT NULL,
    fixed_port_id VARCHAR(36) NOT NULL,
    fixed_ip VARCHAR(45) NOT NULL,
    CONSTRAINT local_ip_association_pk PRIMARY KEY (local_ip_id, fixed_port_id),
    CONSTRAINT local_ip_association_local_ip_id_fk FOREIGN KEY(local_ip_id) REFERENCES local_ip (id),
    CONSTRAINT local_ip_association_fixed_port_id_fk FOREIGN KEY(fixed_port_id) REFERENCES port (id) ON DELETE CASCADE
);

CREATE INDEX local_ip_association_fixed_port_id_ix ON local_ip_association (fixed_port_id);

CREATE TABLE log (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description VARCHAR(255) NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    resource_type VARCHAR(255) NOT NULL,
    resource_id VARCHAR(36),
    target_id VARCHAR(36),
    event VARCHAR(16) NOT NULL,
    enabled BOOLEAN NOT NULL,
    CONSTRAINT log_pk PRIMARY KEY (id),
    CONSTRAINT log_resource_id_fk FOREIGN KEY(resource_id) REFERENCES security_group (id) ON DELETE CASCADE,
    CONSTRAINT log_target_id_fk FOREIGN KEY(target_id) REFERENCES port (id) ON DELETE CASCADE
);

CREATE INDEX log_by_project ON log (project_id, id);

CREATE INDEX log_resource_id_ix ON log (resource_id);

CREATE INDEX log_target_id_ix ON log (target_id);

CREATE TABLE metering_label (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description VARCHAR(255) NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    shared BOOLEAN NOT NULL,
    CONSTRAINT metering_label_pk PRIMARY KEY (id)
);

CREATE INDEX metering_label_by_project ON metering_label (project_id, id);

CREATE TABLE metering_label_rule (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description VARCHAR(255) NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    metering_label_id VARCHAR(36) NOT NULL,
    direction VARCHAR(8) NOT NULL,
    remote_ip_prefix VARCHAR(64),
    source_ip_prefix VARCHAR(64),
    destination_ip_prefix VARCHAR(64),
    excluded BOOLEAN NOT NULL,
    CONSTRAINT metering_label_rule_pk PRIMARY KEY (id),
    CONSTRAINT metering_label_rule_metering_label_id_fk FOREIGN KEY(metering_label_id) REFERENCES metering_label (id) ON DELETE CASCADE
);

CREATE INDEX metering_label_rule_by_project ON metering_label_rule (project_id, id);

CREATE INDEX metering_label_rule_metering_label_id_ix ON metering_label_rule (metering_label_id);

CREATE TABLE ndp_proxy (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description VARCHAR(255) NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    router_id VARCHAR(36) NOT NULL,
    port_id VARCHAR(36) NOT NULL,
    ip_address VARCHAR(45) NOT NULL,
    CONSTRAINT ndp_proxy_pk PRIMARY KEY (id),
    CONSTRAINT ndp_proxy_router_id_fk FOREIGN KEY(router_id) REFERENCES router (id),
    CONSTRAINT ndp_proxy_port_id_fk FOREIGN KEY(port_id) REFERENCES port (id) ON DELETE CASCADE,
    CONSTRAINT ndp_proxy_router_id_ip_address_uq UNIQUE (router_id, ip_address)
);

CREATE INDEX ndp_proxy_by_project ON ndp_proxy (project_id, id);

CREATE INDEX ndp_proxy_port_id_ix ON ndp_proxy (port_id);

CREATE TABLE network (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description VARCHAR(255) NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    admin_state_up BOOLEAN NOT NULL,
    shared BOOLEAN NOT NULL,
    external BOOLEAN NOT NULL,
    is_default BOOLEAN NOT NULL,
    mtu INTEGER NOT NULL,
    port_security_enabled BOOLEAN NOT NULL,
    dns_domain VARCHAR(255) NOT NULL,
    network_type VARCHAR(16) NOT NULL,
    physical_network VARCHAR(64),
    segmentation_id INTEGER,
    segment VARCHAR(120) NOT NULL, qos_policy_id VARCHAR(36) CONSTRAINT network_qos_policy_id_fk REFERENCES qos_policy (id),
    CONSTRAINT network_pk PRIMARY KEY (id),
    CONSTRAINT network_segment_uq UNIQUE (segment)
);

CREATE INDEX network_by_project ON network (project_id, id);

CREATE INDEX network_qos_policy_id_ix ON network (qos_policy_id);

CREATE TABLE network_segment_range (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description VARCHAR(255) NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    shared BOOLEAN NOT NULL,
    is_default BOOLEAN NOT NULL,
    network_type VARCHAR(16) NOT NULL,
    physical_network VARCHAR(64),
    minimum INTEGER NOT NULL,
    maximum INTEGER NOT NULL,
    CONSTRAINT network_segment_range_pk PRIMARY KEY (id)
);

CREATE INDEX network_segment_range_by_project ON network_segment_range (project_id, id);

CREATE TABLE port (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description VARCHAR(255) NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    network_id VARCHAR(36) NOT NULL,
    mac_address VARCHAR(17) NOT NULL,
    admin_state_up BOOLEAN NOT NULL,
    status VARCHAR(16) NOT NULL,
    device_id VARCHAR(255) NOT NULL,
    device_owner VARCHAR(255) NOT NULL,
    port_security_enabled BOOLEAN NOT NULL,
    host VARCHAR(255) NOT NULL,
    vnic_type VARCHAR(64) NOT NULL,
    vif_type VARCHAR(64) NOT NULL,
    vif_details TEXT NOT NULL,
    profile TEXT NOT NULL,
    allowed_address_pairs TEXT NOT NULL,
    extra_dhcp_opts TEXT NOT NULL,
    dns_name VARCHAR(255) NOT NULL,
    dns_domain VARCHAR(255) NOT NULL, qos_policy_id VARCHAR(36) CONSTRAINT port_qos_policy_id_fk REFERENCES qos_policy (id), propagate_uplink_status BOOLEAN, hints TEXT, data_plane_status VARCHAR(16),
    CONSTRAINT port_pk PRIMARY KEY (id),
    CONSTRAINT port_network_id_fk FOREIGN KEY(network_id) REFERENCES network (id),
    CONSTRAINT port_network_id_mac_address_uq UNIQUE (network_id, mac_address)
);

CREATE INDEX port_by_project ON port (project_id, id);

CREATE INDEX port_device_id_ix ON port (device_id);

CREATE INDEX port_host_ix ON port (host);

CREATE INDEX port_qos_policy_id_ix ON port (qos_policy_id);

CREATE TABLE port_binding (
    port_id VARCHAR(36) NOT NULL,
    host VARCHAR(255) NOT NULL,
    vnic_type VARCHAR(64) NOT NULL,
    vif_type VARCHAR(64) NOT NULL,
    vif_details TEXT NOT NULL,
    profile TEXT NOT NULL,
    CONSTRAINT port_binding_pk PRIMARY KEY (port_id, host),
    CONSTRAINT port_binding_port_id_fk FOREIGN KEY(port_id) REFERENCES port (id) ON DELETE CASCADE
);

CREATE TABLE port_forwarding (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description VARCHAR(255) NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    floatingip_id VARCHAR(36) NOT NULL,
    internal_port_id VARCHAR(36) NOT NULL,
    internal_ip_address VARCHAR(45) NOT NULL,
    internal_port INTEGER NOT NULL,
    internal_last INTEGER NOT NULL,
    external_port INTEGER NOT NULL,
    external_last INTEGER NOT NULL,
    protocol VARCHAR(16) NOT NULL,
    CONSTRAINT port_forwarding_pk PRIMARY KEY (id),
    CONSTRAINT port_forwarding_floatingip_id_fk FOREIGN KEY(floatingip_id) REFERENCES floatingip (id) ON DELETE CASCADE,
    CONSTRAINT port_forwarding_internal_port_id_fk FOREIGN KEY(internal_port_id) REFERENCES port (id) ON DELETE CASCADE,
    CONSTRAINT port_forwarding_floatingip_id_protocol_external_port_uq UNIQUE (floatingip_id, protocol, external_port)
);

CREATE INDEX port_forwarding_by_project ON port_forwarding (project_id, id);

CREATE INDEX port_forwarding_internal_port_id_ix ON port_forwarding (internal_port_id);

CREATE TABLE port_security_group (
    port_id VARCHAR(36) NOT NULL,
    security_group_id VARCHAR(36) NOT NULL,
    CONSTRAINT port_security_group_pk PRIMARY KEY (port_id, security_group_id),
    CONSTRAINT port_security_group_port_id_fk FOREIGN KEY(port_id) REFERENCES port (id) ON DELETE CASCADE,
    CONSTRAINT port_security_group_security_group_id_fk FOREIGN KEY(security_group_id) REFERENCES security_group (id)
);

CREATE INDEX port_security_group_security_group_id_ix ON port_security_group (security_group_id);

CREATE TABLE project (
    id VARCHAR(64) NOT NULL,
    default_group_id VARCHAR(36) NOT NULL,
    CONSTRAINT project_pk PRIMARY KEY (id)
);

CREATE TABLE qos_policy (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description VARCHAR(255) NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    default_of VARCHAR(64),
    CONSTRAINT qos_policy_pk PRIMARY KEY (id),
    CONSTRAINT qos_policy_default_of_uq UNIQUE (default_of)
);

CREATE INDEX qos_policy_by_project ON qos_policy (project_id, id);

CREATE TABLE qos_rule (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description VARCHAR(255) NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    policy_id VARCHAR(36) NOT NULL,
    kind VARCHAR(24) NOT NULL,
    direction VARCHAR(8) NOT NULL,
    most INTEGER NOT NULL,
    burst INTEGER NOT NULL,
    CONSTRAINT qos_rule_pk PRIMARY KEY (id),
    CONSTRAINT qos_rule_policy_id_fk FOREIGN KEY(policy_id) REFERENCES qos_policy (id) ON DELETE CASCADE,
    CONSTRAINT qos_rule_policy_id_kind_direction_uq UNIQUE (policy_id, kind, direction)
);

CREATE INDEX qos_rule_by_project ON qos_rule (project_id, id);

CREATE TABLE quota (
    project_id VARCHAR(64) NOT NULL,
    resource VARCHAR(32) NOT NULL,
    max_count INTEGER NOT NULL,
    CONSTRAINT quota_pk PRIMARY KEY (project_id, resource)
);

CREATE TABLE rbac_policy (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description VARCHAR(255) NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    object_type VARCHAR(32) NOT NULL,
    object_id VARCHAR(36) NOT NULL,
    action VARCHAR(32) NOT NULL,
    target_project VARCHAR(64) NOT NULL,
    CONSTRAINT rbac_policy_pk PRIMARY KEY (id),
    CONSTRAINT rbac_policy_object_id_action_target_project_uq UNIQUE (object_id, action, target_project)
);

CREATE INDEX rbac_policy_by_project ON rbac_policy (project_id, id);

CREATE INDEX rbac_policy_by_target ON rbac_policy (target_project, object_type);

CREATE TABLE router (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description VARCHAR(255) NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    admin_state_up BOOLEAN NOT NULL,
    status VARCHAR(16) NOT NULL,
    enable_snat BOOLEAN NOT NULL,
    gateway_port_id VARCHAR(36),
    gateway_network_id VARCHAR(36),
    routes TEXT NOT NULL,
    host VARCHAR(255), qos_policy_id VARCHAR(36) CONSTRAINT router_qos_policy_id_fk REFERENCES qos_policy (id), enable_ndp_proxy BOOLEAN, enable_default_route_ecmp BOOLEAN, enable_default_route_bfd BOOLEAN,
    CONSTRAINT router_pk PRIMARY KEY (id),
    CONSTRAINT router_gateway_network_id_fk FOREIGN KEY(gateway_network_id) REFERENCES network (id),
    CONSTRAINT router_gateway_port_id_fk FOREIGN KEY(gateway_port_id) REFERENCES port (id)
);

CREATE INDEX router_by_project ON router (project_id, id);

CREATE INDEX router_gateway_network_id_ix ON router (gateway_network_id);

CREATE INDEX router_gateway_port_id_ix ON router (gateway_port_id);

CREATE INDEX router_host_ix ON router (host);

CREATE INDEX router_qos_policy_id_ix ON router (qos_policy_id);

CREATE TABLE router_interface (
    port_id VARCHAR(36) NOT NULL,
    router_id VARCHAR(36) NOT NULL,
    CONSTRAINT router_interface_pk PRIMARY KEY (port_id),
    CONSTRAINT router_interface_port_id_fk FOREIGN KEY(port_id) REFERENCES port (id),
    CONSTRAINT router_interface_router_id_fk FOREIGN KEY(router_id) REFERENCES router (id)
);

CREATE INDEX router_interface_router_id_ix ON router_interface (router_id);

CREATE TABLE security_group (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description VARCHAR(255) NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    stateful BOOLEAN NOT NULL,
    default_of VARCHAR(64),
    CONSTRAINT security_group_pk PRIMARY KEY (id),
    CONSTRAINT security_group_default_of_uq UNIQUE (default_of)
);

CREATE INDEX security_group_by_project ON security_group (project_id, id);

CREATE TABLE security_group_rule (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description VARCHAR(255) NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    security_group_id VARCHAR(36) NOT NULL,
    direction VARCHAR(8) NOT NULL,
    ethertype VARCHAR(8) NOT NULL,
    protocol VARCHAR(40),
    port_range_min INTEGER,
    port_range_max INTEGER,
    remote_ip_prefix VARCHAR(64),
    remote_group_id VARCHAR(36),
    meaning VARCHAR(255) NOT NULL, remote_address_group_id VARCHAR(36) CONSTRAINT security_group_rule_remote_address_group_id_fk REFERENCES address_group (id),
    CONSTRAINT security_group_rule_pk PRIMARY KEY (id),
    CONSTRAINT security_group_rule_remote_group_id_fk FOREIGN KEY(remote_group_id) REFERENCES security_group (id) ON DELETE CASCADE,
    CONSTRAINT security_group_rule_security_group_id_fk FOREIGN KEY(security_group_id) REFERENCES security_group (id) ON DELETE CASCADE,
    CONSTRAINT security_group_rule_security_group_id_meaning_uq UNIQUE (security_group_id, meaning)
);

CREATE INDEX security_group_rule_by_project ON security_group_rule (project_id, id);

CREATE INDEX security_group_rule_remote_address_group_id_ix ON security_group_rule (remote_address_group_id);

CREATE INDEX security_group_rule_remote_group_id_ix ON security_group_rule (remote_group_id);

CREATE TABLE service_profile (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description VARCHAR(255) NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    driver VARCHAR(255) NOT NULL,
    metainfo VARCHAR(4095) NOT NULL,
    enabled BOOLEAN NOT NULL,
    CONSTRAINT service_profile_pk PRIMARY KEY (id)
);

CREATE INDEX service_profile_by_project ON service_profile (project_id, id);

CREATE TABLE subnet (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description VARCHAR(255) NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    network_id VARCHAR(36) NOT NULL,
    ip_version INTEGER NOT NULL,
    cidr VARCHAR(64) NOT NULL,
    gateway_ip VARCHAR(45),
    enable_dhcp BOOLEAN NOT NULL,
    ipv6_ra_mode VARCHAR(16),
    ipv6_address_mode VARCHAR(16),
    allocation_pools TEXT NOT NULL,
    dns_nameservers TEXT NOT NULL,
    host_routes TEXT NOT NULL,
    subnetpool_id VARCHAR(36),
    last_given VARCHAR(32) NOT NULL, service_types TEXT,
    CONSTRAINT subnet_pk PRIMARY KEY (id),
    CONSTRAINT subnet_network_id_fk FOREIGN KEY(network_id) REFERENCES network (id),
    CONSTRAINT subnet_subnetpool_id_fk FOREIGN KEY(subnetpool_id) REFERENCES subnetpool (id)
);

CREATE INDEX subnet_by_project ON subnet (project_id, id);

CREATE INDEX subnet_network_id_ix ON subnet (network_id);

CREATE INDEX subnet_subnetpool_id_ix ON subnet (subnetpool_id);

CREATE TABLE subnetpool (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description VARCHAR(255) NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    ip_version INTEGER NOT NULL,
    prefixes TEXT NOT NULL,
    default_prefixlen INTEGER NOT NULL,
    min_prefixlen INTEGER NOT NULL,
    max_prefixlen INTEGER NOT NULL,
    default_quota INTEGER,
    shared BOOLEAN NOT NULL,
    is_default BOOLEAN NOT NULL, address_scope_id VARCHAR(36) CONSTRAINT subnetpool_address_scope_id_fk REFERENCES address_scope (id),
    CONSTRAINT subnetpool_pk PRIMARY KEY (id)
);

CREATE INDEX subnetpool_address_scope_id_ix ON subnetpool (address_scope_id);

CREATE INDEX subnetpool_by_project ON subnetpool (project_id, id);

CREATE TABLE subport (
    port_id VARCHAR(36) NOT NULL,
    trunk_id VARCHAR(36) NOT NULL,
    segmentation_type VARCHAR(16) NOT NULL,
    segmentation_id INTEGER NOT NULL,
    CONSTRAINT subport_pk PRIMARY KEY (port_id),
    CONSTRAINT subport_port_id_fk FOREIGN KEY(port_id) REFERENCES port (id),
    CONSTRAINT subport_trunk_id_fk FOREIGN KEY(trunk_id) REFERENCES trunk (id) ON DELETE CASCADE,
    CONSTRAINT subport_trunk_id_segmentation_type_segmentation_id_uq UNIQUE (trunk_id, segmentation_type, segmentation_id)
);

CREATE TABLE tag (
    resource_id VARCHAR(36) NOT NULL,
    tag VARCHAR(255) NOT NULL,
    CONSTRAINT tag_pk PRIMARY KEY (resource_id, tag)
);

CREATE TABLE trunk (
    id VARCHAR(36) NOT NULL,
    project_id VARCHAR(64) NOT NULL,
    name VARCHAR(255) NOT NULL,
    description VARCHAR(255) NOT NULL,
    created_at DOUBLE NOT NULL,
    updated_at DOUBLE NOT NULL,
    generation INTEGER NOT NULL,
    port_id VARCHAR(36) NOT NULL,
    admin_state_up BOOLEAN NOT NULL,
    CONSTRAINT trunk_pk PRIMARY KEY (id),
    CONSTRAINT trunk_port_id_fk FOREIGN KEY(port_id) REFERENCES port (id),
    CONSTRAINT trunk_port_id_uq UNIQUE (port_id)
);

CREATE INDEX trunk_by_project ON trunk (project_id, id);
