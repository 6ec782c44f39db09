"""What each microversion changed of what can be done to servers, and of what stands around them; real services."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from pileus.compute import versions
from pileus.compute.api.server_moves import flavor_number
from pileus.compute.model import servers
from pileus.compute.model.states import State
from tests.compute.test_versions_of_boots import Booting
from tests.compute.whole_cloud import HOST, OTHER_HOST
from tests.covers import covers


class Changing(Booting):
    async def ok(self, method: str, path: str, body: Any = None, version: str = "2.1", user: str = "demo"):
        """The body of an answer that must be a success, once all that follows from it is done."""
        answer = await self.compute(method, path, body, version, user)
        assert answer.is_success, answer.text
        await self.cloud.compute.sagas.drain()
        return answer.json() if answer.content else None

    async def act(self, server_id: str, action: str, body: Any = None, version: str = "2.1", user: str = "demo"):
        return await self.ok("POST", f"/servers/{server_id}/action", {action: body}, version, user)

    async def refused(self, method: str, path: str, body: Any = None, version: str = "2.1", user: str = "demo"):
        answer = await self.compute(method, path, body, version, user)
        assert answer.is_client_error, answer.text
        return answer.status_code

    async def refuses(self, server_id: str, action: str, body: Any = None, version: str = "2.1", user: str = "demo"):
        return await self.refused("POST", f"/servers/{server_id}/action", {action: body}, version, user)

    async def show(self, server_id: str, version: str = "2.1", user: str = "demo"):
        return (await self.ok("GET", f"/servers/{server_id}", version=version, user=user))["server"]


@pytest.fixture
async def cloud(whole):
    made = Changing(whole)
    await made.sign_in()
    yield made
    await made.http.aclose()


async def test_halting_and_going_on(cloud):
    server_id = await cloud.server()
    for action, back, status in (("pause", "unpause", "PAUSED"), ("suspend", "resume", "SUSPENDED")):
        assert await cloud.refuses(server_id, back) == 409
        await cloud.act(server_id, action)
        assert (await cloud.show(server_id))["status"] == status
        assert await cloud.refuses(server_id, action) == 409
        await cloud.act(server_id, back)
        assert (await cloud.show(server_id))["status"] == "ACTIVE"
    await cloud.act(server_id, "lock")
    assert await cloud.refuses(server_id, "pause") == 409
    await cloud.act(server_id, "pause", user="admin")
    await cloud.act(server_id, "reboot", {"type": "HARD"}, user="admin")
    assert (await cloud.show(server_id))["status"] == "ACTIVE"


@covers(versions.REBUILD_KEY)
async def test_rebuild(cloud):
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGq8Yyn3eWnWVAePwrzaaKu6cGPMqmBaZuPh3ZDXcLNZ a@b"
    await cloud.ok("POST", "/os-keypairs", {"keypair": {"name": "k", "public_key": key}})
    server_id = await cloud.server()
    asked = {"imageRef": cloud.image, "name": "two", "metadata": {"a": "b"}, "accessIPv4": "192.0.2.9"}
    assert await cloud.refuses(server_id, "rebuild", asked | {"key_name": "k"}, "2.53") == 400
    told = (await cloud.act(server_id, "rebuild", asked, "2.53"))["server"]
    assert (told["name"], told["metadata"], told["accessIPv4"], len(told["adminPass"])) == (
        "two", {"a": "b"}, "192.0.2.9", 12)
    assert "key_name" not in told
    told = (await cloud.act(server_id, "rebuild", asked | {"key_name": "k"}, "2.54"))["server"]
    assert told["key_name"] == "k"
    data = base64.b64encode(b"hello").decode()
    told = (await cloud.act(server_id, "rebuild", asked | {"user_data": data}, "2.57"))["server"]
    assert (told["user_data"], told["key_name"]) == (data, "k")
    told = (await cloud.act(server_id, "rebuild", asked, "2.75"))["server"]
    assert told["user_data"] == data and "OS-EXT-SRV-ATTR:user_data" not in told
    row = await cloud.row(server_id)
    assert (row.name, row.root, row.state, row.key_name) == ("two", 4, State.ACTIVE, "k")
    assert cloud.cloud.driver.known[server_id].root == 4
    assert await cloud.refuses(server_id, "rebuild", asked | {"name": " "}) == 400
    await cloud.act(server_id, "os-stop")
    await cloud.act(server_id, "rebuild", {"imageRef": cloud.image})
    assert (await cloud.show(server_id))["status"] == "SHUTOFF"


async def test_the_end_of_the_console_log(cloud):
    server_id = await cloud.server()
    whole = (await cloud.act(server_id, "os-getConsoleOutput", {}))["output"]
    assert whole.endswith("login:\n")
    assert (await cloud.act(server_id, "os-getConsoleOutput", {"length": 2**70}))["output"] == whole
    end = (await cloud.act(server_id, "os-getConsoleOutput", {"length": 3}))["output"]
    assert whole.endswith(end) and len(end.split("\n")) == 3


async def test_rescue(cloud):
    server_id = await cloud.server()
    assert await cloud.act(server_id, "rescue", {"adminPass": "secret"}) == {"adminPass": "secret"}
    assert (await cloud.show(server_id))["status"] == "RESCUE"
    assert cloud.cloud.driver.known[server_id].rescued
    assert await cloud.refuses(server_id, "os-stop") == 409
    assert await cloud.refuses(server_id, "rescue") == 409
    await cloud.act(server_id, "unrescue")
    assert (await cloud.show(server_id))["status"] == "ACTIVE"
    assert not cloud.cloud.driver.known[server_id].rescued


@covers(versions.IMAGE_ID_ANSWER)
async def test_images_of_servers(cloud):
    server_id = await cloud.server()
    url, asked = f"/servers/{server_id}/action", {"name": "snap", "metadata": {"a": "b"}}
    old = await cloud.compute("POST", url, {"createImage": asked}, "2.44")
    assert old.status_code == 202 and not old.content
    image_id = old.headers["location"].rpartition("/")[2]
    await cloud.cloud.compute.sagas.drain()
    new = await cloud.compute("POST", url, {"createImage": asked | {"name": "other"}}, "2.45")
    assert set(new.json()) == {"image_id"} and "location" not in new.headers
    await cloud.cloud.compute.sagas.drain()
    for each in (image_id, new.json()["image_id"]):
        image = (await cloud.ask("GET", f"/image/v2/images/{each}")).json()
        assert (image["status"], image["instance_uuid"], image["a"]) == ("active", server_id, "b")
    backup = {"name": "daily", "backup_type": "daily", "rotation": 1}
    assert set(await cloud.act(server_id, "createBackup", backup, "2.45")) == {"image_id"}
    assert await cloud.act(server_id, "createBackup", backup, "2.44") is None
    images = (await cloud.ask("GET", "/image/v2/images?backup_type=daily")).json()["images"]
    assert len(images) == 1
    assert await cloud.refuses(server_id, "createBackup", backup | {"rotation": -1}) == 400
    again = await cloud.server(imageRef=image_id)
    assert (await cloud.show(again))["image"]["id"] == image_id
    gone = (await cloud.compute("POST", url, {"createImage": asked}, "2.45")).json()["image_id"]
    assert await cloud.refuses(server_id, "createImage", asked) == 409                 # one at a time
    await cloud.ask("DELETE", f"/image/v2/images/{gone}")
    await cloud.cloud.compute.sagas.drain()
    assert (await cloud.ask("GET", f"/image/v2/images/{gone}")).status_code == 404     # and is not made again
    listed = (await cloud.ask("GET", "/image/v2/images?name=snap")).json()["images"]
    assert [image["id"] for image in listed] == [image_id]
    action = (await cloud.ok("GET", f"/servers/{server_id}/os-instance-actions"))["instanceActions"][0]
    assert action["action"] == "createImage" and "was deleted" in action["message"]


@covers(versions.UNSHELVE_ZONE, versions.UNSHELVE_HOST)
async def test_shelve(cloud):
    server_id = await cloud.server()
    assert await cloud.refuses(server_id, "unshelve") == 409
    await cloud.act(server_id, "shelve")
    shown = await cloud.show(server_id, user="admin")
    assert (shown["status"], shown["OS-EXT-STS:vm_state"], shown["OS-EXT-SRV-ATTR:host"]) == (
        "SHELVED_OFFLOADED", "shelved_offloaded", None)
    found = await cloud.ok("GET", "/servers?status=SHELVED_OFFLOADED")
    assert [each["id"] for each in found["servers"]] == [server_id]
    assert cloud.cloud.driver.known == {}
    assert await cloud.refuses(server_id, "unshelve", {"availability_zone": "none-such"}, "2.77") == 400
    await cloud.act(server_id, "unshelve", {"availability_zone": "none-such"}, "2.76")    # not looked at until then
    assert (await cloud.show(server_id))["status"] == "ACTIVE"
    await cloud.act(server_id, "shelve")
    await cloud.act(server_id, "unshelve", {"availability_zone": "nova"}, "2.77")
    assert (await cloud.row(server_id)).zone == "nova"
    await cloud.act(server_id, "shelve")
    assert await cloud.refuses(server_id, "unshelve", {"host": HOST}, "2.90", "admin") == 400
    assert await cloud.refuses(server_id, "unshelve", {"host": HOST}, "2.91") == 403
    await cloud.act(server_id, "unshelve", {"host": HOST, "availability_zone": None}, "2.91", "admin")
    row = await cloud.row(server_id)
    assert (row.host, row.zone, row.state) == (HOST, None, State.ACTIVE)
    images = (await cloud.ask("GET", "/image/v2/images?name=one-shelved")).json()["images"]
    assert images == []
    await cloud.act(server_id, "shelve")
    await cloud.ok("DELETE", f"/servers/{server_id}")
    assert (await cloud.ask("GET", "/image/v2/images?name=one-shelved")).json()["images"] == []


@covers(versions.MIGRATION_LINKS, versions.MIGRATE_TO_HOST, versions.MIGRATION_PAGES, versions.MIGRATION_OWNER)
async def test_resize_and_migrations(cloud):
    server_id = await cloud.server()
    assert await cloud.refuses(server_id, "resize", {"flavorRef": "42"}) == 400
    assert await cloud.refuses(server_id, "confirmResize") == 409
    await cloud.act(server_id, "resize", {"flavorRef": "1"})
    assert (await cloud.show(server_id))["status"] == "VERIFY_RESIZE"
    await cloud.act(server_id, "revertResize")
    shown = await cloud.show(server_id)
    assert (shown["status"], shown["flavor"]["id"]) == ("ACTIVE", "42")
    await cloud.act(server_id, "resize", {"flavorRef": "1"})
    await cloud.act(server_id, "confirmResize")
    assert (await cloud.show(server_id))["flavor"]["id"] == "1"
    assert cloud.cloud.driver.known[server_id].memory_mb == (await cloud.row(server_id)).memory_mb

    assert await cloud.refuses(server_id, "migrate", user="admin") == 400         # there is no other host
    await cloud.cloud.add_host()
    assert await cloud.refuses(server_id, "migrate") == 403
    await cloud.act(server_id, "migrate", {"host": OTHER_HOST}, "2.56", "admin")
    assert (await cloud.row(server_id)).host == OTHER_HOST
    await cloud.cloud.sign_of_life()                                              # what is on the old host stays
    assert server_id in cloud.cloud.driver.known
    await cloud.act(server_id, "revertResize")
    row = await cloud.row(server_id)
    assert (row.host, row.state) == (HOST, State.ACTIVE)

    async def listed(version: str, query: str = "") -> list[dict[str, Any]]:
        return (await cloud.ok("GET", f"/os-migrations{query}", version=version, user="admin"))["migrations"]

    found = await listed("2.1")
    assert [each["status"] for each in found] == ["reverted", "confirmed", "reverted"]
    assert (found[0]["dest_host"], found[1]["new_instance_type_id"]) == (OTHER_HOST, flavor_number("1"))
    new = {"2.23": {"migration_type"}, "2.59": {"uuid"}, "2.80": {"user_id", "project_id"}}
    for (version, fields), before in zip(new.items(), ("2.22", "2.58", "2.79"), strict=True):
        assert set((await listed(version))[0]) - set((await listed(before))[0]) == fields
    assert [each["migration_type"] for each in await listed("2.23")] == ["migration", "resize", "resize"]
    page = await cloud.ok("GET", "/os-migrations?limit=2", version="2.59", user="admin")
    assert len(page["migrations"]) == 2 and page["migrations_links"][0]["rel"] == "next"
    rest = await listed("2.59", f"?marker={page['migrations'][-1]['uuid']}")
    assert len(rest) == 1
    assert await listed("2.80", "?user_id=nobody") == []
    assert await cloud.refused("GET", "/os-migrations?marker=none", version="2.59", user="admin") == 400
    assert await cloud.refused("GET", f"/servers/{server_id}/migrations", version="2.22", user="admin") == 404
    assert (await cloud.ok("GET", f"/servers/{server_id}/migrations", version="2.23", user="admin"))["migrations"] == []
    await cloud.act(server_id, "migrate", {"host": "never read"}, "2.55", "admin")
    assert (await cloud.row(server_id)).host == OTHER_HOST


@covers(versions.TAGS_AT_ATTACH)
async def test_interfaces(cloud):
    server_id = await cloud.server()
    url = f"/servers/{server_id}/os-interface"
    tagged = {"interfaceAttachment": {"net_id": cloud.network, "tag": "web"}}
    assert await cloud.refused("POST", url, tagged, "2.48") == 400
    made = (await cloud.ok("POST", url, tagged, "2.49"))["interfaceAttachment"]
    assert made["net_id"] == cloud.network
    shown = (await cloud.ok("GET", url, version="2.70"))["interfaceAttachments"]
    assert {each["port_id"]: each["tag"] for each in shown}[made["port_id"]] == "web"
    assert len(cloud.cloud.driver.known[server_id].macs) == 2
    assert await cloud.refused("POST", url, {"interfaceAttachment": {"net_id": server_id}}) == 400
    both = {"interfaceAttachment": {"net_id": cloud.network, "port_id": made["port_id"]}}
    assert await cloud.refused("POST", url, both) == 400
    await cloud.ok("DELETE", f"{url}/{made['port_id']}")
    assert len(cloud.cloud.driver.known[server_id].macs) == 1
    assert await cloud.refused("DELETE", f"{url}/{made['port_id']}") == 404
    plain = (await cloud.ok("POST", url, {"interfaceAttachment": {}}))["interfaceAttachment"]
    assert plain["net_id"] == cloud.network


@covers(versions.CRASH_DUMP, versions.PLAIN_DIAGNOSTICS)
async def test_insides(cloud):
    server_id = await cloud.server()
    await cloud.act(server_id, "changePassword", {"adminPass": "new"})
    guest = cloud.cloud.driver.known[server_id]
    assert guest.passwords == {"root": "new"}
    assert await cloud.refuses(server_id, "trigger_crash_dump", version="2.16") in (400, 404)
    await cloud.act(server_id, "trigger_crash_dump", version="2.17")
    assert guest.interrupts == 1
    old = await cloud.ok("GET", f"/servers/{server_id}/diagnostics", version="2.47", user="admin")
    assert old["cpu0_time"] == 0 and "state" not in old
    new = await cloud.ok("GET", f"/servers/{server_id}/diagnostics", version="2.48", user="admin")
    assert (new["state"], new["num_cpus"], new["num_nics"], new["num_disks"]) == ("running", 1, 1, 1)
    assert await cloud.refused("GET", f"/servers/{server_id}/diagnostics") == 403
    await cloud.act(server_id, "os-stop")
    assert await cloud.refused("GET", f"/servers/{server_id}/diagnostics", user="admin") == 409
    assert await cloud.refuses(server_id, "changePassword", {"adminPass": "new"}) == 409
    await cloud.act(server_id, "injectNetworkInfo", user="admin")
    await cloud.act(server_id, "resetNetwork", user="admin")


@covers(versions.GROUP_OWNER, versions.SOFT_POLICIES, versions.GROUP_POLICY)
async def test_server_groups(cloud):
    async def make(version: str, **more: Any) -> Any:
        return (await cloud.ok("POST", "/os-server-groups", {"server_group": {"name": "g"} | more}, version))[
            "server_group"]

    old = await make("2.12", policies=["anti-affinity"])
    assert set(old) == {"id", "name", "members", "policies", "metadata"}
    assert set(await make("2.13", policies=["affinity"])) - set(old) == {"project_id", "user_id"}
    soft = {"server_group": {"name": "g", "policies": ["soft-affinity"]}}
    assert await cloud.refused("POST", "/os-server-groups", soft, "2.14") == 400
    assert (await make("2.15", policies=["soft-affinity"]))["policies"] == ["soft-affinity"]
    new = await make("2.64", policy="anti-affinity", rules={"max_server_per_host": 2})
    assert (new["policy"], new["rules"]) == ("anti-affinity", {"max_server_per_host": 2}) and "policies" not in new
    ruled = {"server_group": {"name": "g", "policy": "affinity", "rules": {"max_server_per_host": 2}}}
    assert await cloud.refused("POST", "/os-server-groups", ruled, "2.64") == 400

    body = {"server": {"name": "a", "flavorRef": "42", "imageRef": cloud.image,
                       "networks": [{"uuid": cloud.network}]}, "os:scheduler_hints": {"group": old["id"]}}
    ids = [(await cloud.ok("POST", "/servers", body))["server"]["id"] for _ in range(2)]
    first, second = [await cloud.show(server_id, "2.71") for server_id in ids]
    assert (first["status"], second["status"], first["server_groups"]) == ("ACTIVE", "ERROR", [old["id"]])
    assert "ServerGroupAntiAffinityFilter" in second["fault"]["message"]
    shown = (await cloud.ok("GET", f"/os-server-groups/{old['id']}"))["server_group"]
    assert shown["members"] == ids
    await cloud.cloud.add_host()
    third = (await cloud.ok("POST", "/servers", body))["server"]["id"]
    assert (await cloud.row(third)).host == OTHER_HOST
    assert await cloud.refused("POST", "/servers", body | {"os:scheduler_hints": {"group": ids[0]}}) == 400
    assert len((await cloud.ok("GET", "/os-server-groups"))["server_groups"]) == 4
    assert (await cloud.ok("GET", "/os-server-groups?all_projects=1&limit=1&offset=1", user="admin"))["server_groups"]
    await cloud.ok("DELETE", f"/os-server-groups/{old['id']}")
    assert await cloud.refused("GET", f"/os-server-groups/{old['id']}") == 404
    assert (await cloud.row(ids[0])).group_id is None


@covers(versions.AGGREGATE_UUID, versions.AGGREGATE_IMAGES)
async def test_aggregates(cloud):
    async def ok(method: str, path: str, body: Any = None, version: str = "2.1") -> Any:
        return await cloud.ok(method, f"/os-aggregates{path}", body, version, "admin")

    async def refused(method: str, path: str, body: Any = None, version: str = "2.1") -> int:
        return await cloud.refused(method, f"/os-aggregates{path}", body, version, "admin")

    made = (await ok("POST", "", {"aggregate": {"name": "fast", "availability_zone": "east"}}, "2.40"))["aggregate"]
    assert (made["availability_zone"], made["updated_at"]) == ("east", None) and "uuid" not in made
    assert await refused("POST", "", {"aggregate": {"name": "fast"}}) == 409
    one = f"/{made['id']}"
    assert "uuid" in (await ok("GET", one, version="2.41"))["aggregate"]
    with_host = (await ok("POST", f"{one}/action", {"add_host": {"host": HOST}}))["aggregate"]
    assert with_host["hosts"] == [HOST]
    assert await refused("POST", f"{one}/action", {"add_host": {"host": HOST}}) == 409
    assert await refused("POST", f"{one}/action", {"add_host": {"host": "none"}}) == 404
    zones = await cloud.ok("GET", "/os-availability-zone")
    assert [zone["zoneName"] for zone in zones["availabilityZoneInfo"]] == ["east"]
    server_id = await cloud.server(availability_zone="east")
    assert (await cloud.show(server_id))["OS-EXT-AZ:availability_zone"] == "east"
    assert await refused("PUT", one, {"aggregate": {"availability_zone": "west"}}) == 400
    await cloud.ok("DELETE", f"/servers/{server_id}")
    other = (await ok("POST", "", {"aggregate": {"name": "slow", "availability_zone": "west"}}))["aggregate"]
    assert await refused("POST", f"/{other['id']}/action", {"add_host": {"host": HOST}}) == 409
    told = (await ok("POST", f"{one}/action", {"set_metadata": {"metadata": {"ssd": "yes"}}}))["aggregate"]
    assert told["metadata"] == {"availability_zone": "east", "ssd": "yes"}
    await ok("POST", f"{one}/action", {"set_metadata": {"metadata": {"availability_zone": None}}})
    zones = await cloud.ok("GET", "/os-availability-zone")
    assert [zone["zoneName"] for zone in zones["availabilityZoneInfo"]] == ["nova"]
    cache = {"cache": [{"id": cloud.image}]}
    assert await refused("POST", f"{one}/images", cache, "2.80") == 404
    await ok("POST", f"{one}/images", cache, "2.81")
    assert await refused("DELETE", one) == 400
    await ok("POST", f"{one}/action", {"remove_host": {"host": HOST}})
    assert await refused("POST", f"{one}/action", {"remove_host": {"host": HOST}}) == 404
    await ok("DELETE", one)
    assert await refused("GET", one) == 404
    assert await cloud.refused("GET", "/os-aggregates") == 403


async def test_deletion_that_can_be_taken_back(cloud):
    compute = cloud.cloud.compute
    compute.config = type(compute.config)(driver="fake", host_silent_after=1e9, reclaim_after=60)
    server_id = await cloud.server()
    await cloud.ok("DELETE", f"/servers/{server_id}")
    assert (await cloud.show(server_id))["status"] == "SOFT_DELETED"
    assert (await cloud.ok("GET", "/servers"))["servers"] == []
    found = await cloud.ok("GET", "/servers?status=SOFT_DELETED&all_tenants=1", user="admin")
    assert [each["id"] for each in found["servers"]] == [server_id]
    await cloud.act(server_id, "restore")
    assert (await cloud.show(server_id))["status"] == "ACTIVE"
    await cloud.ok("DELETE", f"/servers/{server_id}")
    await compute.reconcilers.once()
    assert (await cloud.show(server_id))["status"] == "SOFT_DELETED"
    async with compute.db.write() as tx:
        await servers.change(tx, await servers.get(tx, server_id), compute.clock() - 61)
    await compute.reconcilers.once()
    await compute.sagas.drain()
    assert await cloud.refused("GET", f"/servers/{server_id}") == 404
    other = await cloud.server()
    await cloud.act(other, "forceDelete")
    assert await cloud.refused("GET", f"/servers/{other}") == 404
