"""What is told and taken beside the main attributes: of ports, subnets, pools, agents, quotas, routers."""

from pileus.network.engine.records import State, Status
from pileus.network.messages import HostSeen, PortsReported
from pileus.network.reconcilers.slices import slices
from pileus.network.reports import host_seen, ports_reported
from tests.network.test_networks import MISSING, plain
from tests.network.test_routers import outside


async def put(speaker, path, status=200, **body):
    answer = await speaker.put(f"/v2.0/{path}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json() if status < 300 else answer.json()["NeutronError"]["type"]


async def test_ports_tell_more(world):
    network, _ = await plain(world)
    made = await world.http.make("port", network_id=network["id"], tags=["b", "a"], propagate_uplink_status=False)
    assert (made["tags"], made["propagate_uplink_status"], made["data_plane_status"]) == (["a", "b"], False, None)
    assert (await world.http.change("port", made, propagate_uplink_status=True))["propagate_uplink_status"] is True
    assert "hints" not in made and "trusted" not in made
    hints = {"openvswitch": {"other_config": {"tx-steering": "hash"}}}
    await world.http.make("port", 403, network_id=network["id"], hints=hints)
    await world.http.make("port", 403, network_id=network["id"], trusted=True)
    await world.admin.make("port", 400, network_id=network["id"], hints={"other": {}})
    port = await world.admin.make("port", network_id=network["id"], hints=hints, trusted=True)
    assert port["hints"] == hints and port["trusted"] is True and port["binding:profile"] == {"trusted": True}
    port = await world.admin.change("port", port, hints=None, **{"binding:profile": {"a": 1}})
    assert port["hints"] is None and port["binding:profile"] == {"a": 1, "trusted": True}
    assert (await world.admin.change("port", port, trusted=False))["binding:profile"]["trusted"] is False
    assert (await world.admin.change("port", port, data_plane_status="DOWN"))["data_plane_status"] == "DOWN"
    await world.http.change("port", made, 403, data_plane_status="DOWN")
    again = await world.http.change("port", made, mac_address=None)
    assert again["mac_address"] != made["mac_address"] and again["mac_address"].startswith("fa:16:3e")
    many = {"ip_address": "224.0.0.5"}
    assert (await world.http.change("port", made, 400, allowed_address_pairs=[many]))["type"] == "InvalidInput"


async def test_new_ports_tell_the_policy_of_their_network(world):
    network, _ = await plain(world)
    answer = await world.admin.post("/v2.0/qos/policies", json={"policy": {"name": "q"}})
    policy = answer.json()["policy"]
    await world.admin.change("network", network, qos_policy_id=policy["id"])
    port = await world.http.make("port", network_id=network["id"])
    assert (port["qos_policy_id"], port["qos_network_policy_id"]) == (None, policy["id"])
    assert (await world.http.all("port", id=port["id"]))[0]["qos_network_policy_id"] == policy["id"]


async def test_subnets_serve_owners(world):
    network = await world.http.make("network")
    told = {}
    for number, owners in enumerate((["test:one"], [], ["test:two"]), 1):
        told[number] = await world.http.make("subnet", network_id=network["id"], ip_version=4,
                                             cidr=f"10.0.{number}.0/24", service_types=owners)
    for owner, number in (("test:one", 1), ("test:two", 3), ("test:other", 2), ("", 2)):
        port = await world.http.make("port", network_id=network["id"], device_owner=owner)
        assert [ip["subnet_id"] for ip in port["fixed_ips"]] == [told[number]["id"]]
    await world.http.change("subnet", told[2], service_types=["test:three"])
    assert (await world.http.make("port", 409, network_id=network["id"]))["type"] == (
        "IpAddressGenerationFailureNoMatchingSubnet")
    asked = await world.http.make("port", network_id=network["id"], fixed_ips=[{"subnet_id": told[1]["id"]}])
    assert asked["fixed_ips"][0]["subnet_id"] == told[1]["id"]
    changed = await world.http.change("subnet", told[1], service_types=[])
    assert changed["service_types"] == [] and changed["revision_number"] > told[1]["revision_number"]


async def test_prefixes_of_a_pool(world):
    pool = await world.http.make("subnetpool", prefixes=["10.1.0.0/24"], default_prefixlen=26, min_prefixlen=16)
    path = f"subnetpools/{pool['id']}"
    added = await put(world.http, f"{path}/add_prefixes", prefixes=["10.1.1.0/24", "10.9.0.0/16"])
    assert added["prefixes"] == ["10.1.0.0/23", "10.9.0.0/16"]
    assert await put(world.http, f"{path}/add_prefixes", 400, prefixes=["fd00::/64"]) == "InvalidInput"
    network = await world.http.make("network")
    await world.http.make("subnet", network_id=network["id"], ip_version=4, subnetpool_id=pool["id"])
    assert await put(world.http, f"{path}/remove_prefixes", 400, prefixes=["10.1.0.0/24"]) == (
        "IllegalSubnetPoolPrefixUpdate")
    left = await put(world.http, f"{path}/remove_prefixes", prefixes=["10.9.128.0/17", "10.1.1.128/25"])
    assert left["prefixes"] == ["10.1.0.0/24", "10.1.1.0/25", "10.9.0.0/17"]
    await put(world.other, f"{path}/add_prefixes", 404, prefixes=["10.2.0.0/24"])


async def test_subnets_come_into_a_pool(world):
    network, subnet = await plain(world)
    pool = await world.http.make("subnetpool", prefixes=["192.168.0.0/16"], default_prefixlen=24)
    path = f"subnetpools/{pool['id']}/onboard_network_subnets"
    assert await put(world.http, path, 404, network_id=MISSING) == "NetworkNotFound"
    assert await put(world.http, path, network_id=network["id"]) == {}
    assert (await world.http.show("subnet", subnet))["subnetpool_id"] == pool["id"]
    assert subnet["cidr"] in (await world.http.show("subnetpool", pool))["prefixes"]
    assert await put(world.http, path, 409, network_id=network["id"]) == "IllegalSubnetPoolUpdate"


async def test_what_is_left_of_a_subnet(world):
    network = await world.http.make("network")
    subnet = await world.http.make("subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.0/24",
                                   enable_dhcp=False, allocation_pools=[{"start": "10.0.0.10", "end": "10.0.0.19"}])
    await world.http.make("port", network_id=network["id"])
    await world.http.make("port", network_id=network["id"], fixed_ips=[{"ip_address": "10.0.0.99"}])
    told = (await world.admin.get(f"/v2.0/network-ip-availabilities/{network['id']}")).json()
    told = told["network_ip_availability"]
    expected = {"total_ips_in_subnet": 254, "total_ips_in_allocation_pool": 10, "used_ips_in_subnet": 2,
                "used_ips_in_allocation_pool": 1}
    assert told["ip_availability_details"] == expected and told["used_ips"] == 2
    assert told["subnet_ip_availability"][0]["ip_availability_details"] == expected
    public = await outside(world)
    pools = (await world.http.get("/v2.0/floatingip_pools")).json()["floatingip_pools"]
    assert [pool["network_id"] for pool in pools] == [public["id"]] and subnet["id"] != pools[0]["subnet_id"]
    assert (await world.http.get("/v2.0/floatingip_pools?cidr=1.2.3.0/24")).json()["floatingip_pools"] == []
    assert (await world.http.get("/v2.0/floatingip_pools?colour=red")).status_code == 400


async def test_quotas_are_checked_unless_forced(world):
    await world.http.make("network")
    for status, more in ((400, {}), (200, {"force": True})):
        assert (await world.admin.put("/v2.0/quotas/p1", json={"quota": {"network": 0, **more}})).status_code == status


async def test_templates_do_not_overlap(world):
    said = {"direction": "ingress", "protocol": "tcp", "port_range_min": 7, "port_range_max": 7}
    url = "/v2.0/default-security-group-rules"
    for status, default, others in ((201, True, True), (409, True, False), (409, False, True), (201, False, False)):
        body = said | {"used_in_default_sg": default, "used_in_non_default_sg": others}
        assert (await world.admin.post(url, json={"default_security_group_rule": body})).status_code == status
    first = (await world.http.get(url)).json()["default_security_group_rules"][0]
    assert first["description"] == "Legacy default SG rule for egress traffic"


async def test_spare_floating_ips_go_with_what_was_external(world):
    public = await outside(world)
    floating = await world.http.make("floatingip", floating_network_id=public["id"])
    await world.admin.change("network", public, **{"router:external": False})
    await world.http.show("floatingip", floating, 404)


async def test_a_floating_ip_of_a_named_router(world):
    """Its router need not be next to the port's subnet."""
    public = await outside(world)
    network, _ = await plain(world)
    router = await world.http.make("router", external_gateway_info={"network_id": public["id"]})
    assert router["enable_snat"] is True
    inner = await world.http.make("router")
    port = await world.http.make("port", network_id=network["id"])
    body = {"floating_network_id": public["id"], "port_id": port["id"]}
    await world.http.make("floatingip", 404, **body)
    assert (await world.http.make("floatingip", 409, **body, router_id=inner["id"]))["type"] == (
        "FloatingIPRouterNotOnExternalNetwork")
    await world.http.make("floatingip", 400, floating_network_id=public["id"], router_id=router["id"])
    assert (await world.http.make("floatingip", **body, router_id=router["id"]))["router_id"] == router["id"]


async def seen(world, *names):
    for name in names:
        await host_seen(world, HostSeen(host=name, underlay_ip="10.9.9.1", seq=-1, started_at=1.0, error=""))


async def test_agents_are_switched_off(world):
    await seen(world, "one", "two")
    router = await world.http.make("router")
    await slices.run(world)
    agents = (await world.admin.get("/v2.0/agents", params={"sort_key": "host", "sort_dir": "desc"})).json()["agents"]
    assert [agent["host"] for agent in agents] == ["two"] * 3 + ["one"] * 3
    l3 = {agent["host"]: agent["id"] for agent in agents if agent["agent_type"] == "L3 agent"}
    hosting = (await world.admin.get(f"/v2.0/routers/{router['id']}/l3-agents")).json()["agents"]
    assert [agent["id"] for agent in hosting] == [l3["one"]]
    off = await put(world.admin, f"agents/{l3['one']}", agent={"admin_state_up": False, "description": "broken"})
    assert off["agent"]["admin_state_up"] is False and off["agent"]["description"] == "broken"
    await slices.run(world)
    moved = (await world.admin.get(f"/v2.0/agents/{l3['two']}/l3-routers")).json()["routers"]
    assert [each["id"] for each in moved] == [router["id"]]
    await put(world.admin, f"agents/{l3['two']}", agent={"admin_state_up": False})
    await slices.run(world)
    assert (await world.admin.get(f"/v2.0/routers/{router['id']}/l3-agents")).json()["agents"] == []
    assert (await world.http.get(f"/v2.0/routers/{router['id']}/l3-agents")).status_code == 403


async def test_routers_are_moved_by_hand(world):
    await seen(world, "one", "two")
    public = await outside(world)
    router = await world.http.make("router", external_gateway_info={"network_id": public["id"]})
    network, subnet = await plain(world)
    await put(world.http, f"routers/{router['id']}/add_router_interface", subnet_id=subnet["id"])
    port = await world.http.make("port", network_id=network["id"])
    floating = await world.http.make("floatingip", floating_network_id=public["id"], port_id=port["id"])
    waiting = (await world.admin.get(f"/v2.0/routers/{router['id']}/l3-agents")).json()["agents"]
    assert [agent["host"] for agent in waiting] == ["one"], "it is given a host rather than told to have none"
    agents = (await world.admin.get("/v2.0/agents", params={"agent_type": "L3 agent"})).json()["agents"]
    one, two = (f"/v2.0/agents/{agent['id']}/l3-routers" for agent in sorted(agents, key=lambda each: each["host"]))
    named = {"router_id": router["id"]}

    async def reported(host):
        """What becomes of the floating IP when this host says that it is up."""
        now = await world.http.show("floatingip", floating)
        up = Status(kind="floating_ip", id=now["id"], revision=now["revision_number"], host=host, state=State.UP)
        await ports_reported(world, PortsReported(host=host, statuses=(up,)))
        return (await world.http.show("floatingip", floating))["status"], up.revision
    assert (await world.admin.post(two, json=named)).status_code == 409
    status, revision = await reported("one")
    assert status == "ACTIVE"
    assert (await world.admin.delete(f"{two}/{router['id']}")).status_code == 409
    assert (await world.admin.delete(f"{one}/{router['id']}")).status_code == 204
    await slices.run(world)
    assert (await world.http.show("floatingip", floating))["status"] == "DOWN", "nobody has it"
    assert (await reported("one"))[0] == "DOWN"
    assert (await world.admin.get(f"/v2.0/routers/{router['id']}/l3-agents")).json()["agents"] == []
    moved = await world.admin.post(two, json=named)
    assert moved.status_code == 201 and moved.json() == {}
    await slices.run(world)
    assert [each["id"] for each in (await world.admin.get(two)).json()["routers"]] == [router["id"]]
    status, latest = await reported("two")
    assert status == "ACTIVE" and latest > revision, "a host reports once what it has of one revision"


async def test_a_host_without_its_dhcp_agent_serves_none(world):
    network, _ = await plain(world)
    await seen(world, "one")
    await world.admin.make("port", network_id=network["id"], device_owner="compute:nova", **{"binding:host_id": "one"})
    for off in (False, True):
        agent = (await world.admin.get("/v2.0/agents", params={"agent_type": "DHCP agent"})).json()["agents"][0]
        await put(world.admin, f"agents/{agent['id']}", agent={"admin_state_up": not off})
        await slices.run(world)
        served = world.rendered.slices["one"][0].networks[0].subnets[0].enable_dhcp
        assert served is not off


async def test_floating_ips_at_an_interface(world):
    """A router with a leg on the external network needs no gateway there."""
    public = await outside(world)
    edge = (await world.admin.all("subnet", network_id=public["id"]))[0]
    network, subnet = await plain(world)
    router = await world.http.make("router")
    for each, speaker in ((subnet, world.http), (edge, world.admin)):
        await put(speaker, f"routers/{router['id']}/add_router_interface", subnet_id=each["id"])
    port = await world.http.make("port", network_id=network["id"])
    floating = await world.http.make("floatingip", floating_network_id=public["id"], port_id=port["id"])
    assert floating["router_id"] == router["id"]
    for each, code in ((edge, "RouterInterfaceInUseAsGatewayByFloatingIP"),
                       (subnet, "RouterInterfaceInUseByFloatingIP")):
        assert await put(world.admin, f"routers/{router['id']}/remove_router_interface", 409,
                         subnet_id=each["id"]) == code
    await world.http.change("floatingip", floating, port_id=None)
    await put(world.admin, f"routers/{router['id']}/remove_router_interface", subnet_id=edge["id"])
