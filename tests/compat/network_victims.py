"""Things of the network service to be ill-treated."""

from __future__ import annotations

import uuid


async def made(cloud, path: str, kind: str, **body) -> str:
    return str((await cloud.ok("POST", path, {kind: body}))["id"])


async def network_victims(cloud, mark: str) -> dict[str, str]:
    network, ids = "/network/v2.0", dict[str, str]()
    ids["network"] = await made(cloud, f"{network}/networks", "network", name="n")
    ids["subnet"] = await made(cloud, f"{network}/subnets", "subnet", network_id=ids["network"], ip_version=4,
                               cidr="10.9.0.0/24")
    ids["port"] = await made(cloud, f"{network}/ports", "port", network_id=ids["network"])
    ids["router"] = await made(cloud, f"{network}/routers", "router", name="r")
    ids["security_group"] = await made(cloud, f"{network}/security-groups", "security_group", name="g")
    ids["security_group_rule"] = await made(
        cloud, f"{network}/security-group-rules", "security_group_rule", direction="ingress",
        security_group_id=ids["security_group"], protocol="tcp", port_range_min=1, port_range_max=2)
    ids["subnetpool"] = await made(cloud, f"{network}/subnetpools", "subnetpool", name="p", prefixes=["10.32.0.0/16"])
    (external,) = (one["id"] for one in await cloud.ok("GET", f"{network}/networks") if one["name"] == "public")
    ids["floatingip"] = await made(cloud, f"{network}/floatingips", "floatingip", floating_network_id=external)
    ids["agent"] = (await cloud.ok("GET", f"{network}/agents?agent_type=DHCP%20agent"))[0]["id"]
    ids["l3_agent"] = (await cloud.ok("GET", f"{network}/agents?agent_type=L3%20agent"))[0]["id"]
    ids["local_ip"] = await made(cloud, f"{network}/local_ips", "local_ip", network_id=ids["network"])
    ids["fixed_port"] = await made(cloud, f"{network}/ports", "port", network_id=ids["network"])
    await cloud.ok("POST", f"{network}/local_ips/{ids['local_ip']}/port_associations",
                   {"port_association": {"fixed_port_id": ids["fixed_port"]}})
    ids |= await more_network_victims(cloud, ids["network"])
    ids["helper"] = await made(cloud, f"{network}/routers/{ids['router']}/conntrack_helpers", "conntrack_helper",
                               protocol="udp", port=69, helper="tftp")
    ids["log"] = await made(cloud, f"{network}/log/logs", "log", resource_type="security_group")
    ids["metering_label"] = await made(cloud, f"{network}/metering/metering-labels", "metering_label", name="m")
    policy = await made(cloud, f"{network}/qos/policies", "policy", name="q")
    flavor = await made(cloud, f"{network}/flavors", "flavor", name="f", service_type="FLAVORS")
    ids["service_profile"], bound = [await made(
        cloud, f"{network}/service_profiles", "service_profile", metainfo="m") for _ in range(2)]
    await made(cloud, f"{network}/flavors/{flavor}/service_profiles", "service_profile", id=bound)
    aliased = await made(cloud, f"{network}/qos/policies", "policy", name="a")
    rules = {kind: await made(cloud, f"{network}/qos/policies/{aliased}/{kind}_rules", f"{kind}_rule", **{how: 8})
             for kind, how in (("bandwidth_limit", "max_kbps"), ("dscp_marking", "dscp_mark"),
                               ("minimum_bandwidth", "min_kbps"), ("minimum_packet_rate", "min_kpps"))}
    spare = [await made(cloud, f"{network}/ports", "port", network_id=ids["network"]) for _ in range(4)]
    spare.append(ids["bound_port"])
    ids["trunk"] = await made(cloud, f"{network}/trunks", "trunk", port_id=spare[0], sub_ports=[
        {"port_id": spare[1], "segmentation_type": "vlan", "segmentation_id": 9}])
    ids |= {"subport": spare[1], "next_subport": spare[2], "parent": spare[3]}
    least = await made(cloud, f"{network}/qos/policies/{policy}/minimum_bandwidth_rules", "minimum_bandwidth_rule",
                       min_kbps=8)
    forwarding = await routed_port(cloud, external)
    tagged = await cloud.call("PUT", f"{network}/networks/{ids['network']}/tags/t")
    assert tagged.is_success, tagged.text
    return {f"{name}_id": value for name, value in ids.items()} | {
        **{f"/v2.0/qos/alias_{kind}_rules/{{rule_id}}": rule_id for kind, rule_id in rules.items()},
        "/v2.0/qos/policies/{policy_id}/minimum_bandwidth_rules/{rule_id}": least,
        "/v2.0/ports/{port_id}/bindings/{host}": "somewhere",
        "/v2.0/ports/{port_id}": spare[4],             # others go with a router that they were made interfaces of
        "/v2.0/qos/rule-types/{kind}": "dscp_marking",
        "/v2.0/flavors/{flavor_id}": flavor,
        "/v2.0/flavors/{flavor_id}/service_profiles/{service_profile_id}": bound,
        "/v2.0/qos/policies/{policy_id}": policy, "forwarding_port_id": forwarding, "source": spare[4],
        "destination": "10.9.0.250", "external_id": external, "alias": "router",
        "resource": "networks", "resource_id": ids["network"],
        "tag": "t", "network": "n"}


async def more_network_victims(cloud, network_id: str) -> dict[str, str]:
    network, ids = "/network/v2.0", dict[str, str]()
    first = 16_000_000 + 10 * len(await cloud.ok("GET", f"{network}/network_segment_ranges"))
    ids["range"] = await made(cloud, f"{network}/network_segment_ranges", "network_segment_range",
                              network_type="vxlan", minimum=first, maximum=first + 9)
    key = "security_groups_default_statefulness"
    ids["statefulness"] = await made(cloud, f"{network}/{key.replace('_', '-')}", key, stateful=True,
                                     project_id=uuid.uuid4().hex)
    ids["bound_port"] = await made(cloud, f"{network}/ports", "port", network_id=network_id, device_owner="compute:x",
                                   device_id="x", **{"binding:host_id": "here"})
    await cloud.ok("POST", f"{network}/ports/{ids['bound_port']}/bindings", {"binding": {"host": "somewhere"}})
    scope = await made(cloud, f"{network}/address-scopes", "address_scope", name="six", ip_version=6)
    pool = await made(cloud, f"{network}/subnetpools", "subnetpool", name="six", prefixes=["2001:db8::/96"],
                      default_prefixlen=112, address_scope_id=scope)
    subnets = []
    for external in (True, False):
        around = await made(cloud, f"{network}/networks", "network", **{"router:external": external})
        subnets.append(await made(cloud, f"{network}/subnets", "subnet", network_id=around, ip_version=6,
                                  subnetpool_id=pool))
        if external:
            gateway = {"network_id": around}
    ids["ndp_router"] = await made(cloud, f"{network}/routers", "router", enable_ndp_proxy=True,
                                   external_gateway_info=gateway)
    await cloud.call("PUT", f"{network}/routers/{ids['ndp_router']}/add_router_interface", {"subnet_id": subnets[1]})
    ids["ndp_port"], port = [await made(cloud, f"{network}/ports", "port", network_id=around) for _ in range(2)]
    ids["ndp_proxy"] = await made(cloud, f"{network}/ndp_proxies", "ndp_proxy", router_id=ids["ndp_router"],
                                  port_id=port)
    return ids


async def routed_port(cloud, external: str) -> str:
    """A port that floating IPs can lead to."""
    network = "/network/v2.0"
    inner = await made(cloud, f"{network}/networks", "network", name="inner")
    subnet = await made(cloud, f"{network}/subnets", "subnet", network_id=inner, ip_version=4, cidr="10.11.0.0/24")
    router = await made(cloud, f"{network}/routers", "router", name="out",
                        external_gateway_info={"network_id": external})
    joined = await cloud.call("PUT", f"{network}/routers/{router}/add_router_interface", {"subnet_id": subnet})
    assert joined.is_success, joined.text
    return await made(cloud, f"{network}/ports", "port", network_id=inner)
