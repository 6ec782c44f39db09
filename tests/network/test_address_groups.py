"""Address groups, templates of default rules, metering labels, and how many addresses are in use."""

import sqlalchemy as sa

from pileus.kit import db
from pileus.network.model import hosts
from pileus.network.rendering import read_records
from tests.network.test_networks import plain


async def put(speaker, path, kind, status=200, **body):
    answer = await speaker.put(f"/v2.0/{path}", json={kind: body})
    assert answer.status_code == status, answer.text
    return answer.json()[kind] if status < 300 else answer.json()["NeutronError"]


async def test_address_groups(world):
    group = await world.http.make(
        "address_group", name="office", addresses=["10.1.2.3/32", "10.2.0.0/16", "fd00::1/128"])
    assert group["addresses"] == ["10.1.2.3/32", "10.2.0.0/16", "fd00::1/128"]
    path = f"address-groups/{group['id']}"
    assert (await world.http.make("address_group", 400, addresses=["10.1.2.3"]))["type"] == "InvalidInput"
    grown = await put(world.http, f"{path}/add_addresses", "address_group", addresses=["10.3.0.0/16"])
    assert grown["addresses"][-1] == "10.3.0.0/16" and grown["revision_number"] == 2
    again = await put(world.http, f"{path}/add_addresses", "address_group", 400, addresses=["10.3.0.0/16"])
    assert again["type"] == "AddressesAlreadyExist"
    missing = await put(world.http, f"{path}/remove_addresses", "address_group", 404, addresses=["10.4.0.0/16"])
    assert missing["type"] == "AddressesNotFound"
    less = await put(world.http, f"{path}/remove_addresses", "address_group", addresses=["10.1.2.3", "fd00::1/128"])
    assert less["addresses"] == ["10.2.0.0/16", "10.3.0.0/16"]
    alone = await world.http.put(f"/v2.0/{path}/add_addresses", json={"addresses": ["10.4.0.0/16"]})
    assert alone.json()["address_group"]["addresses"][-1] == "10.4.0.0/16"
    await put(world.http, f"{path}/remove_addresses", "address_group", addresses=["10.4.0.0/16"])
    bad = await world.http.make("address_group", 400, addresses=["nonsense"])
    assert bad["type"] == "InvalidInput"
    await world.other.show("address_group", group, 404)
    own = await world.http.make("security_group", name="web")
    rule = await world.http.make("security_group_rule", security_group_id=own["id"], direction="ingress",
                                 remote_address_group_id=group["id"])
    assert rule["remote_address_group_id"] == group["id"] and rule["remote_group_id"] is None
    both = await world.http.make("security_group_rule", 400, security_group_id=own["id"], direction="ingress",
                                 remote_address_group_id=group["id"], remote_ip_prefix="10.0.0.0/8")
    assert both["type"] == "SecurityGroupInvalidRule"
    foreign = await world.other.make("security_group", name="theirs")
    refused = await world.other.make("security_group_rule", 404, security_group_id=foreign["id"], direction="ingress",
                                     remote_address_group_id=group["id"])
    assert refused["type"] == "AddressGroupNotFound"
    async with world.db.read() as reader:
        found = await read_records(reader, await hosts.every(reader))
    told = {each.id: each for each in found.security_groups}
    assert told[group["id"]].addresses == ("10.2.0.0/16", "10.3.0.0/16")
    assert group["id"] in {each.remote_group_id for each in told[own["id"]].rules}
    assert (await world.http.drop("address_group", group, 409))["type"] == "AddressGroupInUse"
    await world.http.drop("security_group_rule", rule)
    await world.http.drop("address_group", group)
    assert await world.http.all("address_group") == []


def said(rules):
    return sorted((r["direction"], r["ethertype"], r["remote_group_id"] is not None) for r in rules)


async def test_templates_say_what_new_groups_begin_with(world):
    templates = await world.http.all("default_security_group_rule")
    assert len(templates) == 4 and {t["used_in_default_sg"] for t in templates} == {True}
    first = await world.http.make("security_group", name="first")
    assert said(first["security_group_rules"]) == [("egress", "IPv4", False), ("egress", "IPv6", False)]
    await world.http.make("default_security_group_rule", 403, direction="ingress")
    ssh = await world.admin.make("default_security_group_rule", direction="ingress", protocol="tcp",
                                 port_range_min=22, port_range_max=22)
    known = await world.admin.make("default_security_group_rule", 409, direction="ingress", protocol="tcp",
                                   port_range_min=22, port_range_max=22)
    assert known["type"] == "DefaultSecurityGroupRuleExists" and ssh["id"] in known["message"]
    for template in templates:
        if template["ethertype"] == "IPv6":
            await world.admin.drop("default_security_group_rule", template)
    second = await world.http.make("security_group", name="second")
    assert said(second["security_group_rules"]) == [("egress", "IPv4", False), ("ingress", "IPv4", False)]
    assert {r["port_range_min"] for r in second["security_group_rules"]} == {None, 22}
    default, = [g for g in await world.other.all("security_group") if g["name"] == "default"]
    assert said(default["security_group_rules"]) == [("egress", "IPv4", False), ("ingress", "IPv4", True)]
    assert default["security_group_rules"][0]["belongs_to_default_sg"]


async def test_metering_labels(world):
    async def make(kind, status=201, **body):
        answer = await world.admin.post(f"/v2.0/metering/{kind.replace('_', '-')}s", json={kind: body})
        assert answer.status_code == status, answer.text
        return answer.json().get(kind) or answer.json()["NeutronError"]
    label = await make("metering_label", name="out")
    everywhere = await make("metering_label", name="all", shared=True)
    rule = await make("metering_label_rule", metering_label_id=label["id"], remote_ip_prefix="10.0.0.1/24",
                      direction="egress")
    assert rule["remote_ip_prefix"] == "10.0.0.0/24" and not rule["excluded"]
    twice = await make("metering_label_rule", 409, metering_label_id=label["id"], remote_ip_prefix="10.0.0.0/24",
                       direction="egress")
    assert twice["type"] == "MeteringLabelRuleOverlaps"
    await make("metering_label_rule", 400, metering_label_id=label["id"])
    refused = await world.http.get("/v2.0/metering/metering-labels")
    assert refused.status_code == 403
    async with world.db.read() as reader:
        found = await read_records(reader, await hosts.every(reader))
    told = {each.id: each for each in found.meters}
    assert told[label["id"]].project_id == "p0" and told[everywhere["id"]].project_id is None
    assert [(each.ingress, each.remote) for each in told[label["id"]].rules] == [(False, "10.0.0.0/24")]
    gone = await world.admin.delete(f"/v2.0/metering/metering-labels/{label['id']}")
    assert gone.status_code == 204
    left = await world.admin.get("/v2.0/metering/metering-label-rules")
    assert left.json()["metering_label_rules"] == []


async def test_how_many_addresses_are_in_use(world):
    network, subnet = await plain(world, "10.1.0.0/28")
    await world.http.make("port", network_id=network["id"])
    shown = (await world.admin.get(f"/v2.0/network-ip-availabilities/{network['id']}")).json()
    told = shown["network_ip_availability"]
    assert (told["total_ips"], told["used_ips"]) == (13, 2)          # a port and the DHCP server
    assert told["subnet_ip_availability"][0]["subnet_id"] == subnet["id"]
    for query, count in (({"network_name": "n"}, 1), ({"ip_version": "6"}, 0), ({"network_id": "x"}, 0)):
        listed = (await world.admin.get("/v2.0/network-ip-availabilities", params=query)).json()
        assert len(listed["network_ip_availabilities"]) == count
    assert (await world.http.get("/v2.0/network-ip-availabilities")).status_code == 403
    providers = (await world.http.get("/v2.0/service-providers")).json()["service_providers"]
    assert [p["service_type"] for p in providers] == ["L3_ROUTER_NAT"]
    assert (await world.http.get("/v2.0/agents")).json() == {"agents": []}


async def test_spare_floating_ips_do_not_keep_their_network(world):
    public = await world.admin.make("network", **{"router:external": True})
    await world.admin.make("subnet", network_id=public["id"], ip_version=4, cidr="198.51.100.0/24", enable_dhcp=False)
    floating = await world.http.make("floatingip", floating_network_id=public["id"])
    await world.admin.drop("network", public)
    await world.http.show("floatingip", floating, 404)
    async with world.db.read() as reader:
        assert await db.scalars(reader, sa.text("SELECT id FROM port")) == []
