"""What only clients of old versions ask of compute: networks, extensions, audits of usage."""

from __future__ import annotations

import pytest

from pileus.compute import versions
from tests.compute.test_versions_of_boots import Booting
from tests.compute.whole_cloud import HOST
from tests.covers import covers


@pytest.fixture
async def cloud(whole):
    made = Booting(whole)
    await made.sign_in()
    yield made
    await made.http.aclose()


@covers(versions.NO_PROXIES)
async def test_what_old_clients_ask_for(cloud):
    for path in ("os-networks", "os-tenant-networks"):
        found = (await cloud.compute("GET", f"/{path}")).json()["networks"]
        assert [network["id"] for network in found if network["label"] == "private"] == [cloud.network]
        one = (await cloud.compute("GET", f"/{path}/{cloud.network}")).json()["network"]
        assert one["label"] == "private" and one["cidr"] is None
        for wrong in ("nothing", HOST, "00000000-0000-4000-8000-000000000000"):
            assert (await cloud.compute("GET", f"/{path}/{wrong}")).status_code == 404
        assert (await cloud.compute("GET", f"/{path}", version="2.36")).status_code == 404
    every = (await cloud.compute("GET", "/extensions")).json()["extensions"]
    assert {"os-hosts", "os-consoles", "servers"} < {each["alias"] for each in every}
    assert (await cloud.compute("GET", "/extensions/os-consoles")).json()["extension"]["name"] == "Consoles"
    assert (await cloud.compute("GET", "/extensions/none")).status_code == 404
    await groups_of_all_projects(cloud)
    await audits(cloud)


async def groups_of_all_projects(cloud):
    async def owners(user, query=""):
        found = (await cloud.compute("GET", f"/os-security-groups{query}", user=user)).json()["security_groups"]
        return {group["tenant_id"] for group in found}
    own = await owners("demo")
    assert len(own) == 1 and await owners("demo", "?all_tenants=1") == own
    body = {"security_group": {"name": "g", "description": "d"}}
    assert (await cloud.compute("POST", "/os-security-groups", body, user="admin")).status_code == 200
    assert own < await owners("admin", "?all_tenants=1") and not own & await owners("admin")


async def audits(cloud):
    path = "/os-instance_usage_audit_log"
    assert (await cloud.compute("GET", path)).status_code == 403
    told = (await cloud.compute("GET", path, user="admin")).json()["instance_usage_audit_logs"]
    assert told["hosts_not_run"] == [HOST]
    told = (await cloud.compute("GET", f"{path}/2024-01-31 10:00:00", user="admin")).json()["instance_usage_audit_log"]
    assert (told["period_beginning"], told["period_ending"]) == ("2023-12-01 00:00:00", "2024-01-01 00:00:00")
    assert told["overall_status"] == "0 of 1 hosts done. 0 errors."
    for wrong in ("invalid_time", "0001-01-01", "2024-01-31T10:00:00+25:00"):
        assert (await cloud.compute("GET", f"{path}/{wrong}", user="admin")).status_code == 400, wrong


async def floating_ip(cloud, **body):
    return await cloud.compute("POST", "/os-floating-ips", body)


@covers(versions.NO_PROXIES)
async def test_floating_ips_of_old_clients(cloud):
    pools = (await cloud.compute("GET", "/os-floating-ip-pools")).json()["floating_ip_pools"]
    assert pools == [{"name": "public"}]
    public = (await cloud.ask("GET", "/network/v2.0/networks?name=public")).json()["networks"][0]["id"]
    made = [(await floating_ip(cloud, **body)).json()["floating_ip"]
            for body in ({}, {"pool": "public"}, {"pool": public}, {"pool": None})]
    assert {(each["pool"], each["fixed_ip"], each["instance_id"]) for each in made} == {("public", None, None)}
    listed = (await cloud.compute("GET", "/os-floating-ips")).json()["floating_ips"]
    assert sorted(listed, key=str) == sorted(made, key=str)
    one = f"/os-floating-ips/{made[0]['id']}"
    assert (await cloud.compute("GET", one)).json() == {"floating_ip": made[0]}
    assert (await floating_ip(cloud, pool="none")).status_code == 404
    assert (await floating_ip(cloud, pool=1)).status_code == 400
    assert (await cloud.compute("DELETE", one)).status_code == 202
    for wrong in (one, "/os-floating-ips/1"):
        assert [(await cloud.compute(method, wrong)).status_code for method in ("GET", "DELETE")] == [404, 404]
    for path in ("/os-floating-ips", "/os-floating-ip-pools"):
        assert (await cloud.compute("GET", path, version="2.36")).status_code == 404


@covers(versions.NO_ADDRESS_ACTIONS)
async def test_addresses_by_actions(cloud):
    servers = [await cloud.server(name=name) for name in ("one", "two")]
    ips = [(await floating_ip(cloud)).json()["floating_ip"] for _ in range(2)]

    async def act(server_id, action, version="2.43", **body):
        return (await cloud.compute("POST", f"/servers/{server_id}/action", {action: body}, version)).status_code

    async def told(server_id, kind):
        found = (await cloud.compute("GET", f"/servers/{server_id}")).json()["server"]["addresses"]["private"]
        return [each["addr"] for each in found if each["OS-EXT-IPS:type"] == kind and each["version"] == 4]
    fixed = (await told(servers[0], "fixed"))[0]
    for action, body in (("addFloatingIp", {"address": ips[0]["ip"]}), ("removeFloatingIp", {"address": ips[0]["ip"]}),
                         ("addFixedIp", {"networkId": cloud.network}), ("removeFixedIp", {"address": fixed})):
        assert await act(servers[0], action, "2.44", **body) == 400, action
    assert await act(servers[0], "addFloatingIp", address=ips[0]["ip"], fixed_address=fixed) == 202
    assert await told(servers[0], "floating") == [ips[0]["ip"]]
    shown = (await cloud.compute("GET", f"/os-floating-ips/{ips[0]['id']}")).json()["floating_ip"]
    assert (shown["instance_id"], shown["fixed_ip"]) == (servers[0], fixed)
    assert await act(servers[0], "addFloatingIp", address=ips[1]["ip"]) == 400      # its only address has one
    assert await act(servers[1], "addFloatingIp", address=ips[0]["ip"]) == 202      # and loses it
    assert (await told(servers[0], "floating"), await told(servers[1], "floating")) == ([], [ips[0]["ip"]])
    assert await act(servers[0], "removeFloatingIp", address=ips[0]["ip"]) == 409
    assert await act(servers[1], "removeFloatingIp", address=ips[0]["ip"]) == 202
    for action in ("addFloatingIp", "removeFloatingIp"):
        wrong = [await act(servers[0], action, address=address) for address in ("0.0.0.0", "", "a")]
        assert wrong == [404, 400, 400]
    assert await act(servers[0], "addFloatingIp", address=ips[0]["ip"], fixed_address="192.0.2.9") == 400
    assert await act(servers[0], "addFixedIp", networkId=cloud.network) == 202
    more = await told(servers[0], "fixed")
    assert len(more) == 2 and more[0] == fixed
    assert await act(servers[0], "removeFixedIp", address=fixed) == 202 and await told(servers[0], "fixed") == more[1:]
    assert await act(servers[0], "removeFixedIp", address=fixed) == 400
    assert await act(servers[0], "addFixedIp", networkId=HOST) == 400


@covers(versions.NO_PROXIES)
async def test_volumes_of_old_clients(cloud):
    async def ask(method, path, body=None, version="2.1"):
        return await cloud.compute(method, path, body, version)
    asked = {"size": "1", "display_name": "v", "display_description": "d", "metadata": {"k": "v"}}
    made = await ask("POST", "/os-volumes", {"volume": asked})
    volume = made.json()["volume"]
    assert made.status_code == 200 and made.headers["location"].endswith(f"/os-volumes/{volume['id']}")
    assert volume["attachments"] == [{}] and volume["size"] == 1 and volume["displayName"] == "v"
    await cloud.cloud.services.volume.sagas.drain()
    snapshot = (await ask("POST", "/os-snapshots", {"snapshot": {
        "volume_id": volume["id"], "display_name": "s", "force": "true"}})).json()["snapshot"]
    assert (snapshot["volumeId"], snapshot["displayName"], snapshot["size"]) == (volume["id"], "s", 1)
    await cloud.cloud.services.volume.sagas.drain()
    server = await cloud.server()
    await ask("POST", f"/servers/{server}/os-volume_attachments", {"volumeAttachment": {"volumeId": volume["id"]}})
    await cloud.cloud.compute.sagas.drain()
    other = (await ask("POST", "/os-volumes", {"volume": {"size": 2}})).json()["volume"]
    await cloud.cloud.services.volume.sagas.drain()
    for kind, ids in (("volume", {volume["id"], other["id"]}), ("snapshot", {snapshot["id"]})):
        for path in (f"/os-{kind}s", f"/os-{kind}s/detail"):
            rows = (await ask("GET", path)).json()[f"{kind}s"]
            assert {row["id"] for row in rows} == ids
            assert (await ask("GET", f"{path}?limit=1&offset=1")).json()[f"{kind}s"] == rows[1:]
            assert (await ask("GET", path, version="2.36")).status_code == 404
            assert (await ask("GET", f"{path}?limit=-1")).status_code == 400
            assert rows[-1] == (await ask("GET", f"/os-{kind}s/{rows[-1]['id']}")).json()[kind]
        for wrong in ("", "1", HOST, server):
            for method in ("GET", "DELETE"):
                assert (await ask(method, f"/os-{kind}s/{wrong}")).status_code == 404
    attached = (await ask("GET", f"/os-volumes/{volume['id']}")).json()["volume"]["attachments"]
    assert attached == [{"id": volume["id"], "volumeId": volume["id"], "serverId": server, "device": "/dev/vdb"}]
    for body in ({"size": "0"}, {"size": ""}, {"size": "#$%"}, {}):
        assert (await ask("POST", "/os-volumes", {"volume": body})).status_code == 400, body
    assert (await ask("DELETE", f"/os-volumes/{volume['id']}")).status_code == 400      # a server has it
    assert (await ask("DELETE", f"/os-snapshots/{snapshot['id']}")).status_code == 202
    assert (await ask("DELETE", f"/os-volumes/{other['id']}")).status_code == 202
