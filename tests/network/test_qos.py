"""Quality of service: policies, their rules, and who obeys them."""

from pileus.network.model import hosts
from pileus.network.rendering import read_records
from tests.network.test_networks import MISSING, plain
from tests.network.test_routers import outside


async def policy(world, status=201, **body):
    answer = await world.admin.post("/v2.0/qos/policies", json={"policy": body})
    assert answer.status_code == status, answer.text
    return answer.json()["policy"] if status < 300 else answer.json()["NeutronError"]


async def rule(world, of, kind, status=201, speaker=None, **body):
    path = f"/v2.0/qos/policies/{of['id']}/{kind}_rules"
    answer = await (speaker or world.admin).post(path, json={f"{kind}_rule": body})
    assert answer.status_code == status, answer.text
    return answer.json()[f"{kind}_rule"] if status < 300 else answer.json()["NeutronError"]


async def told(world):
    async with world.db.read() as reader:
        return await read_records(reader, await hosts.every(reader))


async def test_policies_and_rules(world):
    mine = await policy(world, name="gold", shared=True, project_id="p1")
    assert mine["shared"] and not mine["is_default"] and mine["rules"] == []
    up = await rule(world, mine, "bandwidth_limit", max_kbps=8000, max_burst_kbps=800)
    assert (up["direction"], up["max_kbps"], up["max_burst_kbps"]) == ("egress", 8000, 800)
    again = await rule(world, mine, "bandwidth_limit", 409, max_kbps=1)
    assert again["type"] == "QoSRulesConflict"
    down = await rule(world, mine, "bandwidth_limit", max_kbps=9000, direction="ingress")
    mark = await rule(world, mine, "dscp_marking", dscp_mark=26)
    packets = await rule(world, mine, "packet_rate_limit", max_kpps=2)
    await rule(world, mine, "dscp_marking", 400, dscp_mark=27)
    await rule(world, mine, "bandwidth_limit", 400)
    await rule(world, mine, "bandwidth_limit", 403, speaker=world.http, max_kbps=1)
    shown = (await world.other.get(f"/v2.0/qos/policies/{mine['id']}")).json()["policy"]
    assert {each["type"] for each in shown["rules"]} == {"bandwidth_limit", "dscp_marking", "packet_rate_limit"}
    path = f"/v2.0/qos/policies/{mine['id']}"
    listed = (await world.http.get(f"{path}/bandwidth_limit_rules", params={"direction": "ingress"})).json()
    assert [each["id"] for each in listed["bandwidth_limit_rules"]] == [down["id"]]
    changed = await world.admin.put(f"{path}/dscp_marking_rules/{mark['id']}",
                                    json={"dscp_marking_rule": {"dscp_mark": 46}})
    assert changed.json()["dscp_marking_rule"]["dscp_mark"] == 46
    clash = await world.admin.put(f"{path}/bandwidth_limit_rules/{down['id']}",
                                  json={"bandwidth_limit_rule": {"direction": "egress"}})
    assert clash.status_code == 409
    assert (await world.admin.get(f"{path}/dscp_marking_rules/{up['id']}")).status_code == 404
    assert (await world.admin.delete(f"{path}/packet_rate_limit_rules/{packets['id']}")).status_code == 204
    types = (await world.http.get("/v2.0/qos/rule-types")).json()["rule_types"]
    assert {each["type"] for each in types} == {
        "bandwidth_limit", "dscp_marking", "packet_rate_limit", "minimum_bandwidth", "minimum_packet_rate"}
    for each in types:
        shown = (await world.admin.get(f"/v2.0/qos/rule-types/{each['type']}")).json()["rule_type"]
        assert shown["drivers"][0]["supported_parameters"]
    assert (await world.admin.get("/v2.0/qos/rule-types/none")).status_code == 404
    assert (await world.http.get("/v2.0/qos/rule-types/dscp_marking")).status_code == 403
    network, _ = await plain(world)
    port = await world.http.make("port", network_id=network["id"], qos_policy_id=mine["id"])
    assert port["qos_policy_id"] == mine["id"]
    record = next(p for p in (await told(world)).ports if p.id == port["id"])
    assert sorted((li.egress, li.packets, li.most, li.burst) for li in record.qos.limits) == [
        (False, False, 9000_000, 0), (True, False, 8000_000, 800_000)] and record.qos.dscp == 46
    busy = await world.admin.delete(path)
    assert busy.status_code == 409 and busy.json()["NeutronError"]["type"] == "QosPolicyInUse"
    await world.http.change("port", port, qos_policy_id=None)
    assert (await world.admin.delete(path)).status_code == 204


async def test_who_obeys(world):
    of_network, own = await policy(world, name="n", shared=True), await policy(world, name="o", shared=True)
    hidden = await policy(world, name="hidden")
    for each, kbps in ((of_network, 1000), (own, 2000)):
        await rule(world, each, "bandwidth_limit", max_kbps=kbps)
    network = await world.http.make("network", qos_policy_id=of_network["id"])
    await world.http.make("subnet", network_id=network["id"], ip_version=4, cidr="10.1.0.0/24")
    await world.http.make("network", 404, qos_policy_id=hidden["id"])
    await world.http.make("network", 404, qos_policy_id=MISSING)
    first = await world.http.make("port", network_id=network["id"])
    second = await world.http.make("port", network_id=network["id"], qos_policy_id=own["id"])
    records = {port.id: port for port in (await told(world)).ports}
    assert records[first["id"]].qos.limits[0].most == 1000_000
    assert records[second["id"]].qos.limits[0].most == 2000_000
    assert [p.qos for p in records.values() if p.device_owner == "network:dhcp"] == [None]
    public = await outside(world)
    floating = await world.http.make("floatingip", floating_network_id=public["id"], qos_policy_id=own["id"])
    assert floating["qos_policy_id"] == own["id"]
    bare = await world.http.change("floatingip", floating, qos_policy_id=None)
    assert bare["qos_policy_id"] is None and bare["qos_network_policy_id"] is None


async def test_floating_ips_obey_their_network_s_policy(world):
    """Unless they have one of their own."""
    of_network, own = await policy(world, name="n"), await policy(world, name="o", shared=True)
    for each, kbps in ((of_network, 1000), (own, 2000)):
        await rule(world, each, "bandwidth_limit", max_kbps=kbps)
    public = await outside(world)
    await world.admin.change("network", public, qos_policy_id=of_network["id"])
    network, subnet = await plain(world)
    router = await world.http.make("router", external_gateway_info={"network_id": public["id"]})
    await world.http.put(f"/v2.0/routers/{router['id']}/add_router_interface", json={"subnet_id": subnet["id"]})
    port = await world.http.make("port", network_id=network["id"])
    floating = await world.http.make("floatingip", floating_network_id=public["id"], port_id=port["id"])
    assert (floating["qos_policy_id"], floating["qos_network_policy_id"]) == (None, of_network["id"])
    assert [each.qos.limits[0].most for each in (await told(world)).floating_ips] == [1000_000]
    await world.http.change("floatingip", floating, qos_policy_id=own["id"])
    assert [each.qos.limits[0].most for each in (await told(world)).floating_ips] == [2000_000]


async def test_policies_that_somebody_else_gave(world):
    """Whoever cannot see them cannot take them away."""
    hidden, network = await policy(world, name="hidden"), await world.http.make("network")
    port = await world.http.make("port", network_id=network["id"])
    for kind, thing in (("network", network), ("port", port)):
        await world.admin.change(kind, thing, qos_policy_id=hidden["id"])
        assert (await world.http.change(kind, thing, 403, qos_policy_id=None))["type"] == (
            "PolicyRemoveAuthorizationError")
        await world.http.change(kind, thing, name="n")
    await world.admin.put(f"/v2.0/qos/policies/{hidden['id']}", json={"policy": {"shared": True}})
    for kind, thing in (("network", network), ("port", port)):
        assert (await world.http.change(kind, thing, qos_policy_id=None))["qos_policy_id"] is None


async def test_a_default_policy(world):
    usual = await policy(world, name="usual", is_default=True, project_id="p1", shared=True)
    twice = await policy(world, 409, name="another", is_default=True, project_id="p1")
    assert twice["type"] == "QoSPolicyDefaultAlreadyExists"
    assert (await world.http.make("network"))["qos_policy_id"] == usual["id"]
    assert (await world.http.make("network", qos_policy_id=None))["qos_policy_id"] is None
    assert (await world.other.make("network"))["qos_policy_id"] is None


async def test_what_ports_are_promised_is_told_to_who_places_them(world):
    mine = await policy(world, name="gold", shared=True)
    least = await rule(world, mine, "minimum_bandwidth", min_kbps=2000)
    await rule(world, mine, "minimum_bandwidth", min_kbps=1000, direction="ingress")
    await rule(world, mine, "minimum_packet_rate", min_kpps=5, direction="any")
    assert (await rule(world, mine, "minimum_packet_rate", 409, min_kpps=5))["type"] == "QoSRulesConflict"
    too_much = await rule(world, mine, "bandwidth_limit", 409, max_kbps=1999)
    assert too_much["type"] == "QoSRuleParameterConflict"
    await rule(world, mine, "bandwidth_limit", max_kbps=2000)
    path = f"/v2.0/qos/alias_minimum_bandwidth_rules/{least['id']}"
    assert (await world.http.get(path)).json()["alias_minimum_bandwidth_rule"]["min_kbps"] == 2000
    body = {"alias_minimum_bandwidth_rule": {"min_kbps": 3000}}
    assert (await world.admin.put(path, json=body)).status_code == 409
    body = {"alias_minimum_bandwidth_rule": {"min_kbps": 1500}}
    assert (await world.http.put(path, json=body)).status_code == 403
    assert (await world.admin.put(path, json=body)).json()["alias_minimum_bandwidth_rule"]["min_kbps"] == 1500
    network, _ = await plain(world)
    network = await world.http.change("network", network, qos_policy_id=mine["id"])
    port = await world.http.make("port", network_id=network["id"])
    assert "resource_request" not in port
    wanted = (await world.admin.show("port", port))["resource_request"]
    resources = {name: value for group in wanted["request_groups"] for name, value in group["resources"].items()}
    assert resources == {"NET_BW_EGR_KILOBIT_PER_SEC": 1500, "NET_BW_IGR_KILOBIT_PER_SEC": 1000,
                         "NET_PACKET_RATE_KILOPACKET_PER_SEC": 5}
    assert sorted(group["required"] for group in wanted["request_groups"]) == [
        ["CUSTOM_NETWORK_TUNNEL_PROVIDER", "CUSTOM_VNIC_TYPE_NORMAL"], ["CUSTOM_VNIC_TYPE_NORMAL"]]
    assert sorted(wanted["same_subtree"]) == sorted(group["id"] for group in wanted["request_groups"])
    assert (await world.admin.delete(path)).status_code == 204
    assert (await world.admin.get(path)).status_code == 404


async def test_gateways_obey_policies_of_their_own(world):
    public, mine = await outside(world), await policy(world, name="slow", shared=True)
    await rule(world, mine, "bandwidth_limit", max_kbps=300)
    router = await world.http.make(
        "router", external_gateway_info={"network_id": public["id"], "qos_policy_id": mine["id"]})
    assert router["external_gateway_info"]["qos_policy_id"] == mine["id"]
    record = next(each for each in (await told(world)).routers if each.id == router["id"])
    assert record.qos is not None and record.qos.limits[0].most == 300_000
    assert (await world.admin.delete(f"/v2.0/qos/policies/{mine['id']}")).status_code == 409
    gateway = {"network_id": public["id"], "qos_policy_id": None}
    changed = await world.http.change("router", router, external_gateway_info=gateway)
    assert changed["external_gateway_info"]["qos_policy_id"] is None
    await world.http.change("router", router, 404, external_gateway_info=gateway | {"qos_policy_id": MISSING})
