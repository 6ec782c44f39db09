"""Ports that are promised bandwidth or packets: servers go where that is, and take it there; with real services."""

from __future__ import annotations

from typing import Any

import pytest

from pileus.compute import versions
from pileus.network.guarantees import Bandwidth, Guarantees, PacketRate
from tests.compute.test_versions_of_boots import Booting
from tests.compute.whole_cloud import HOST
from tests.covers import covers

HAS = Guarantees(overlay=Bandwidth(egress=5000, ingress=5000), packets=PacketRate(any=100),
                 physical={"public": Bandwidth(egress=10)})
IN, OUT, PACKETS = "NET_BW_IGR_KILOBIT_PER_SEC", "NET_BW_EGR_KILOBIT_PER_SEC", "NET_PACKET_RATE_KILOPACKET_PER_SEC"


class Promising(Booting):
    async def policy(self, **promised: int) -> str:
        """`ingress` or `egress` in kilobits per second, `packets` in thousands."""
        made = await self.ask("POST", "/network/v2.0/qos/policies", {"policy": {"name": "p", "shared": True}},
                              user="admin")
        policy_id = made.json()["policy"]["id"]
        for name, least in promised.items():
            kind, body = ("minimum_packet_rate", {"min_kpps": least, "direction": "any"}) if name == "packets" else (
                "minimum_bandwidth", {"min_kbps": least, "direction": name})
            rule = await self.ask("POST", f"/network/v2.0/qos/policies/{policy_id}/{kind}_rules",
                                  {f"{kind}_rule": body}, user="admin")
            assert rule.status_code == 201, rule.text
        return policy_id

    async def port(self, policy_id: str | None = None, network_id: str = "") -> str:
        body = {"port": {"network_id": network_id or self.network, "qos_policy_id": policy_id}}
        return (await self.ask("POST", "/network/v2.0/ports", body)).json()["port"]["id"]

    async def set_policy(self, port_id: str, policy_id: str | None) -> int:
        answer = await self.ask("PUT", f"/network/v2.0/ports/{port_id}", {"port": {"qos_policy_id": policy_id}})
        return answer.status_code

    async def profile(self, port_id: str) -> dict[str, Any]:
        shown = await self.ask("GET", f"/network/v2.0/ports/{port_id}", user="admin")
        return shown.json()["port"]["binding:profile"]

    async def claims(self, server_id: str) -> dict[str, dict[str, int]]:
        """What is claimed of each provider, but for what every server takes."""
        found = (await self.ask("GET", f"/placement/allocations/{server_id}", user="admin")).json()["allocations"]
        return {provider: each["resources"] for provider, each in found.items() if "VCPU" not in each["resources"]}

    async def counts(self, server_id: str) -> dict[str, int]:
        return {name: amount for each in (await self.claims(server_id)).values() for name, amount in each.items()}

    async def act(self, server_id: str, version: str = "2.1", user: str = "demo", **what: Any) -> None:
        answer = await self.compute("POST", f"/servers/{server_id}/action", what, version, user)
        assert answer.status_code in (202, 204), answer.text
        await self.cloud.compute.sagas.drain()


@pytest.fixture
async def cloud(whole):
    made = Promising(whole)
    await made.sign_in()
    await whole.guarantee(HAS)
    yield made
    await made.http.aclose()


async def test_what_hosts_have_is_in_placement(cloud):
    async def told() -> dict[str, Any]:
        root = (await cloud.ask("GET", f"/placement/resource_providers?name={HOST}", user="admin")).json()
        tree = await cloud.http.get(
            f"/placement/resource_providers?in_tree={root['resource_providers'][0]['uuid']}",
            headers={"x-auth-token": cloud.tokens["admin"], "openstack-api-version": "placement 1.39"})
        return {each["name"]: each for each in tree.json()["resource_providers"]}
    tree = await told()
    agent = tree[f"{HOST}:Network agent"]
    assert agent["parent_provider_uuid"] == tree[HOST]["uuid"]
    public, tunnels = tree[f"{HOST}:Network agent:public"], tree[f"{HOST}:Network agent (tunnels)"]
    assert public["parent_provider_uuid"] == tunnels["parent_provider_uuid"] == agent["uuid"]
    path = f"/placement/resource_providers/{public['uuid']}/traits"
    traits = await cloud.http.get(path, headers={"x-auth-token": cloud.tokens["admin"],
                                                 "openstack-api-version": "placement 1.39"})
    assert traits.json()["traits"] == ["CUSTOM_PHYSNET_PUBLIC", "CUSTOM_VNIC_TYPE_NORMAL"]
    path = f"/placement/resource_providers/{public['uuid']}/inventories"
    assert list((await cloud.ask("GET", path, user="admin")).json()["inventories"]) == [OUT]
    await cloud.cloud.guarantee(Guarantees(packets=PacketRate(egress=7)))
    assert set(await told()) == {HOST, f"{HOST}:Network agent"}
    await cloud.cloud.guarantee(Guarantees())
    assert set(await told()) == {HOST}


@covers(versions.PROMISED_PORTS)
async def test_boots_go_where_it_is_or_nowhere(cloud):
    much, both = await cloud.policy(ingress=5001), await cloud.policy(ingress=3000, packets=60)
    port = await cloud.port(both)
    refused = await cloud.boot("2.71", networks=[{"port": port}])
    assert refused.status_code == 400 and "2.72" in refused.text
    server = await cloud.server("2.72", networks=[{"port": port}])
    claims, allocation = await cloud.claims(server), (await cloud.profile(port))["allocation"]
    assert sorted(claims.values(), key=str) == [{IN: 3000}, {PACKETS: 60}]
    assert set(allocation.values()) == set(claims)
    for policy_id in (much, both):
        unfit = await cloud.port(policy_id)
        refused = await cloud.server("2.72", networks=[{"port": unfit}])
        fault = (await cloud.row(refused)).fault.message
        assert fault.startswith("No valid host was found.") and unfit in fault and IN in fault, fault
        assert await cloud.counts(refused) == {} and await cloud.profile(unfit) == {}
    await cloud.compute("DELETE", f"/servers/{server}")
    await cloud.cloud.compute.sagas.drain()
    assert await cloud.profile(port) == {} and await cloud.counts(server) == {}
    await cloud.ask("PUT", f"/network/v2.0/networks/{cloud.network}", {"network": {"qos_policy_id": both}})
    refused = await cloud.server("2.72")
    assert "make a port there" in (await cloud.row(refused)).fault.message
    assert (await cloud.row(refused)).nics == ()


async def test_other_policies_of_ports_in_use(cloud):
    one, two, much = [await cloud.policy(ingress=kbps) for kbps in (1000, 2000, 4001)]
    out, bare, packets = await cloud.policy(egress=100), await cloud.policy(), await cloud.policy(packets=5)
    first, second = await cloud.port(one), await cloud.port(two)
    server = await cloud.server("2.72", networks=[{"port": first}, {"port": second}])
    assert await cloud.counts(server) == {IN: 3000}
    for policy_id, status, expected in (
            (two, 200, {IN: 4000}), (much, 409, {IN: 4000}), (out, 200, {IN: 2000, OUT: 100}), (one, 200, {IN: 3000}),
            (None, 200, {IN: 2000}), (two, 200, {IN: 2000})):
        assert await cloud.set_policy(first, policy_id) == status
        assert await cloud.counts(server) == expected, policy_id
    assert (await cloud.profile(first))["allocation"] == {}           # it was given up, and no host was chosen anew
    assert await cloud.set_policy(second, packets) == 200 and await cloud.counts(server) == {}
    await cloud.set_policy(second, bare)
    rule = {"minimum_bandwidth_rule": {"min_kbps": 1, "direction": "egress"}}
    kept = await cloud.ask("POST", f"/network/v2.0/qos/policies/{bare}/minimum_bandwidth_rules", rule, user="admin")
    assert kept.status_code == 501, kept.text
    network = (await cloud.ask("POST", "/network/v2.0/networks", {"network": {"qos_policy_id": one}})).json()["network"]
    subnet = {"network_id": network["id"], "ip_version": 4, "cidr": "10.9.0.0/24"}
    await cloud.ask("POST", "/network/v2.0/subnets", {"subnet": subnet})
    of_network = await cloud.server("2.72", networks=[{"port": await cloud.port(network_id=network["id"])}])
    assert await cloud.counts(of_network) == {IN: 1000}
    for policy_id, status, expected in ((two, 200, {IN: 2000}), (much + "0", 404, {IN: 2000}), (None, 200, {})):
        answer = await cloud.ask("PUT", f"/network/v2.0/networks/{network['id']}",
                                 {"network": {"qos_policy_id": policy_id}})
        assert answer.status_code == status and await cloud.counts(of_network) == expected


async def test_interfaces_come_and_go(cloud):
    server, policy_id = await cloud.server(), await cloud.policy(ingress=3000)
    port, other = await cloud.port(policy_id), await cloud.port(policy_id)

    async def attach(port_id: str) -> int:
        answer = await cloud.compute("POST", f"/servers/{server}/os-interface",
                                     {"interfaceAttachment": {"port_id": port_id}})
        await cloud.cloud.compute.sagas.drain()
        return answer.status_code
    assert await attach(port) == 200 and await cloud.counts(server) == {IN: 3000}
    assert set((await cloud.profile(port))["allocation"].values()) == set(await cloud.claims(server))
    assert await attach(other) == 400 and await cloud.profile(other) == {}
    await cloud.compute("DELETE", f"/servers/{server}/os-interface/{port}")
    await cloud.cloud.compute.sagas.drain()
    assert await cloud.counts(server) == {} and await cloud.profile(port) == {}
    assert await attach(other) == 200 and await cloud.counts(server) == {IN: 3000}


async def test_moves_take_it_along(cloud):
    port = await cloud.port(await cloud.policy(ingress=2000))
    server = await cloud.server("2.72", networks=[{"port": port}])
    provider, = await cloud.claims(server)

    async def is_kept() -> bool:
        return await cloud.claims(server) == {provider: {IN: 2000}} and list(
            (await cloud.profile(port))["allocation"].values()) == [provider]
    for end in ("revertResize", "confirmResize"):
        await cloud.act(server, resize={"flavorRef": "1"})
        assert await is_kept()
        await cloud.act(server, **{end: None})
        assert await is_kept()
    await cloud.act(server, shelve=None)
    assert await cloud.counts(server) == {} and await cloud.profile(port) == {}
    await cloud.act(server, unshelve=None)
    assert await is_kept()
