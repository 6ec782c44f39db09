"""What can be done to servers' volumes, to servers that boot from one, and what each microversion changed of it."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
import sqlalchemy as sa

from pileus.compute import guest_data, guest_spec, versions, volumes
from pileus.compute.drivers.base import GuestSpec
from pileus.compute.drivers.qemu_devices import assign_slots
from pileus.compute.volumes import free_device
from pileus.kit import db
from pileus.placement.model.tables import allocations
from tests.compute.test_versions_of_changes import Changing
from tests.compute.whole_cloud import HOST, OTHER_HOST
from tests.covers import covers

SETTLE_SECONDS = 20.0


class WithVolumes(Changing):
    async def settle(self) -> None:
        """Everything is done, by either service, that somebody waits for."""
        await self.cloud.services.volume.sagas.drain()
        await self.cloud.compute.sagas.drain()

    async def until(self, server_id: str, status: str) -> dict[str, Any]:
        give_up = time.monotonic() + SETTLE_SECONDS
        while (shown := await self.show(server_id))["status"] != status:
            assert time.monotonic() < give_up, shown
            await self.settle()
            await asyncio.sleep(0.05)
        return shown

    async def volume(self, **more: Any) -> str:
        answer = await self.ask("POST", "/volume/v3/volumes", {"volume": {"size": 1, **more}})
        assert answer.status_code == 202, answer.text
        await self.settle()
        return answer.json()["volume"]["id"]

    async def status(self, volume_id: str) -> str:
        return (await self.ask("GET", f"/volume/v3/volumes/{volume_id}")).json()["volume"]["status"]

    async def from_volume(self, **more: Any) -> tuple[str, str]:
        """A server that boots from a volume, and the volume."""
        volume_id = await self.volume(imageRef=self.image)
        root = {"uuid": volume_id, "source_type": "volume", "destination_type": "volume", "boot_index": 0}
        return await self.server(imageRef="", block_device_mapping_v2=[root | more]), volume_id

    async def attach(self, server_id: str, volume_id: str, version: str = "2.1", **more: Any):
        path = f"/servers/{server_id}/os-volume_attachments"
        return (await self.ok("POST", path, {"volumeAttachment": {"volumeId": volume_id, **more}}, version))[
            "volumeAttachment"]

    async def attached(self, server_id: str, version: str = "2.1") -> list[dict[str, Any]]:
        path = f"/servers/{server_id}/os-volume_attachments"
        return (await self.ok("GET", path, version=version))["volumeAttachments"]

    def in_guest(self, server_id: str) -> list[str]:
        for agent in (self.cloud.agent, self.cloud.other):
            if agent is not None and server_id in agent.driver.known:
                return [volume.volume_id for volume in agent.driver.known[server_id].volumes]
        return []

    async def facts(self) -> list[tuple[str, str | None]]:
        return (await self.cloud.volume_facts())["attachments"]


@pytest.fixture
async def cloud(whole):
    made = WithVolumes(whole)
    await made.sign_in()
    yield made
    await made.http.aclose()


@covers(versions.TAGS_AT_ATTACH, versions.TOLD_TAGS, versions.GOES_WITH_SERVER, versions.ATTACHMENT_CHANGES,
        versions.ATTACHMENT_IDS, versions.EXTENDED_ATTRIBUTES)
async def test_attachments(cloud):
    server, volume, other = await cloud.server(), await cloud.volume(), await cloud.volume()
    path = f"/servers/{server}/os-volume_attachments"
    for below, more in (("2.48", {"tag": "t"}), ("2.78", {"delete_on_termination": True})):
        assert await cloud.refused("POST", path, {"volumeAttachment": {"volumeId": volume, **more}}, below) == 400
    made = await cloud.attach(server, volume, "2.79", tag="t", delete_on_termination=True)
    assert made == {"id": volume, "volumeId": volume, "serverId": server, "device": "/dev/vdb", "tag": "t",
                    "delete_on_termination": True}
    assert await cloud.status(volume) == "in-use" and cloud.in_guest(server) == [volume]
    await cloud.attach(server, other, "2.49", tag="u")
    keys = [set((await cloud.attached(server, version))[0]) for version in ("2.69", "2.70", "2.79", "2.89")]
    assert keys[1] - keys[0] == {"tag"} and keys[2] - keys[1] == {"delete_on_termination"}
    assert (keys[3] - keys[2], keys[2] - keys[3]) == ({"attachment_id", "bdm_uuid"}, {"id"})
    change = {"volumeAttachment": {"volumeId": volume, "delete_on_termination": False}}
    assert await cloud.refused("PUT", f"{path}/{volume}", change, "2.84") == 400
    await cloud.ok("PUT", f"{path}/{volume}", change, "2.85")
    assert [each["delete_on_termination"] for each in await cloud.attached(server, "2.85")] == [False, False]
    assert await cloud.refused("PUT", f"{path}/{volume}", {"volumeAttachment": {
        "volumeId": volume, "device": "/dev/vdz"}}, "2.85") == 400
    assert await cloud.refused("PUT", f"{path}/{volume}", {"volumeAttachment": {"volumeId": other}}) == 403
    detail = (await cloud.ok("GET", "/servers/detail"))["servers"][0]["os-extended-volumes:volumes_attached"]
    assert detail == [{"id": volume}, {"id": other}]
    shown = (await cloud.show(server, "2.3"))["os-extended-volumes:volumes_attached"]
    assert shown == [{"id": each, "delete_on_termination": False} for each in (volume, other)]
    await cloud.act(server, "lock", user="admin")
    assert await cloud.refused("DELETE", f"{path}/{other}") == 409
    await cloud.act(server, "unlock", user="admin")
    await cloud.ok("DELETE", f"{path}/{volume}")
    assert await cloud.status(volume) == "available" and cloud.in_guest(server) == [other]


@covers(versions.ASYNC_ATTACH)
async def test_who_attaches_does_not_wait(cloud):
    server, volume = await cloud.server(), await cloud.volume()
    path, body = f"/servers/{server}/os-volume_attachments", {"volumeAttachment": {"volumeId": volume}}
    answer = await cloud.compute("POST", path, body, "2.101")
    assert (answer.status_code, answer.content) == (202, b"")
    await cloud.settle()
    assert cloud.in_guest(server) == [volume]
    await cloud.ok("DELETE", f"{path}/{volume}")
    assert (await cloud.compute("POST", path, body, "2.100")).status_code == 200
    assert [await cloud.refused("GET", f"{path}?limit={bad}") for bad in ("-1", "x", "%C2%B2")] == [400] * 3
    assert len((await cloud.ok("GET", f"{path}?limit={1 << 70}"))["volumeAttachments"]) == 1
    assert (await cloud.ok("GET", f"{path}?offset=1"))["volumeAttachments"] == []


@covers(versions.MULTIATTACH)
async def test_volumes_of_several_servers_and_growing_ones(cloud):
    kind = {"volume_type": {"name": "many", "extra_specs": {"multiattach": "<is> True"}}}
    assert (await cloud.ask("POST", "/volume/v3/types", kind, user="admin")).status_code == 200
    volume, servers = await cloud.volume(volume_type="many"), [await cloud.server(), await cloud.server()]
    body = {"volumeAttachment": {"volumeId": volume}}
    assert await cloud.refused("POST", f"/servers/{servers[0]}/os-volume_attachments", body, "2.59") == 400
    for server in servers:
        await cloud.attach(server, volume, "2.60")
    assert [cloud.in_guest(server) for server in servers] == [[volume], [volume]]
    await a_guest_sees_that_its_volume_has_grown(cloud, servers[0])


async def a_guest_sees_that_its_volume_has_grown(cloud, server):
    volume = await cloud.volume()
    await cloud.attach(server, volume)
    answer = await cloud.http.post(f"/volume/v3/volumes/{volume}/action", json={"os-extend": {"new_size": 3}}, headers={
        "x-auth-token": cloud.tokens["demo"], "openstack-api-version": "volume 3.42"})
    assert answer.status_code == 202, answer.text
    await cloud.settle()
    assert [each.size_gb for each in cloud.cloud.driver.known[server].volumes][1:] == [3]
    actions = (await cloud.ok("GET", f"/servers/{server}/os-instance-actions"))["instanceActions"]
    assert actions[0]["action"] == "extend_volume" and await cloud.status(volume) == "in-use"


async def test_volumes_go_with_a_server_to_another_host(cloud):
    await cloud.cloud.add_host()
    server, volume = await cloud.server(), await cloud.volume()
    await cloud.attach(server, volume)
    await cloud.act(server, "migrate", {"host": OTHER_HOST}, "2.56", "admin")
    assert await cloud.facts() == [("attached", OTHER_HOST)]
    await cloud.act(server, "revertResize")
    assert await cloud.facts() == [("attached", HOST)] and cloud.in_guest(server) == [volume]
    await cloud.act(server, "migrate", {"host": OTHER_HOST}, "2.56", "admin")
    await cloud.act(server, "confirmResize")
    assert await cloud.facts() == [("attached", OTHER_HOST)] and cloud.in_guest(server) == [volume]


@covers(versions.VOLUMES_OF_SHELVED)
async def test_volumes_of_shelved_servers(cloud):
    server, first, second = await cloud.server(), await cloud.volume(), await cloud.volume()
    await cloud.attach(server, first)
    await cloud.act(server, "shelve")
    assert (await cloud.show(server))["status"] == "SHELVED_OFFLOADED" and await cloud.facts() == [("reserved", None)]
    path = f"/servers/{server}/os-volume_attachments"
    body = {"volumeAttachment": {"volumeId": second}}
    assert await cloud.refused("POST", path, body, "2.19") == 409
    await cloud.ok("POST", path, body, "2.20")
    assert await cloud.status(second) == "in-use"
    assert [each["device"] for each in await cloud.attached(server)] == ["/dev/vdb", "/dev/vdc"]
    assert await cloud.refused("DELETE", f"{path}/{first}", version="2.19") == 409
    await cloud.ok("DELETE", f"{path}/{first}", version="2.20")
    await cloud.act(server, "unshelve")
    assert (await cloud.show(server))["status"] == "ACTIVE"
    assert cloud.in_guest(server) == [second] and await cloud.facts() == [("attached", HOST)]
    assert [each["device"] for each in await cloud.attached(server)] == ["/dev/vdb"]    # its guest was made anew


async def test_snapshots_that_hosts_are_to_take(cloud):
    """What becomes of one the volume service is told; not what it settled before."""
    path, server, volume = "/os-assisted-volume-snapshots", await cloud.server(), await cloud.volume()
    made = await cloud.ask("POST", "/volume/v3/snapshots", {"snapshot": {"volume_id": volume}})
    snapshot = made.json()["snapshot"]["id"]
    info = {"snapshot_id": snapshot, "type": "qcow2", "new_file": "new"}
    body = {"snapshot": {"volume_id": volume, "create_info": info}}
    removal = f"{path}/{snapshot}?delete_info=" + json.dumps({"volume_id": volume})
    for method, url, sent in (("POST", path, body), ("DELETE", removal, None)):
        assert await cloud.refused(method, url, sent) == 403
        assert await cloud.refused(method, url, sent, user="admin") == 400                # nobody has the volume
    await cloud.attach(server, volume)
    assert (await cloud.ok("POST", path, body, user="admin"))["snapshot"] == {"id": snapshot, "volumeId": volume}
    told = (await cloud.ask("GET", f"/volume/v3/snapshots/{snapshot}")).json()["snapshot"]["status"]
    assert told in ("error", "available")
    await cloud.ok("DELETE", removal, user="admin")
    for wrong in ("", "?delete_info=x", "?delete_info={}", '?delete_info={"volume_id":"1"}'):
        assert await cloud.refused("DELETE", f"{path}/{snapshot}{wrong}", user="admin") == 400, wrong
    await cloud.act(server, "shelve")
    assert await cloud.refused("POST", path, body, user="admin") == 409                   # it is on no host


def names_in(guest: GuestSpec) -> dict[str, str]:
    """What a guest of QEMU that starts with these disks and volumes calls the volumes."""
    slots = assign_slots(guest, {})
    places = sorted((slot, name) for name, slot in slots.items() if name.startswith(("disk-", "volume-")))
    return {name.removeprefix("volume-"): f"/dev/vd{'abcdefgh'[number]}"
            for number, (_, name) in enumerate(places) if name.startswith("volume-")}


async def test_names_are_those_that_guests_give(cloud):
    large = {"flavor": {"name": "large", "vcpus": 1, "ram": 64, "disk": 1, "swap": 8, "OS-FLV-EXT-DATA:ephemeral": 1}}
    made = await cloud.compute("POST", "/flavors", large, user="admin")
    flavor = made.json()["flavor"]["id"]
    root, *some = [{"uuid": await cloud.volume(imageRef=cloud.image), "source_type": "volume", "boot_index": number,
                    "destination_type": "volume", "device_name": "/dev/vdq"} for number in (0, -1, -1, -1)]
    whole = {"uuid": cloud.image, "source_type": "image", "destination_type": "local", "boot_index": 0}
    for disks, image, expected in (([some[0], root], "", ["/dev/vde", "/dev/vda"]),
                                   ([whole, *some[1:]], cloud.image, ["/dev/vde", "/dev/vdf"])):
        server = await cloud.server("2.67", flavorRef=flavor, imageRef=image, config_drive=True,
                                    block_device_mapping_v2=disks)
        await cloud.settle()
        assert [each["device"] for each in await cloud.attached(server)] == expected
        more = await cloud.attach(server, await cloud.volume(), device="/dev/vdz")
        told = {each["volumeId"]: each["device"] for each in await cloud.attached(server)}
        assert told[more["volumeId"]] == more["device"] == f"/dev/vd{'fg'[image != '']}"
        spec = await guest_spec.build(cloud.cloud.compute, await cloud.row(server))
        assert names_in(spec) == told


@pytest.mark.parametrize("again", [{"reboot": {"type": "HARD"}}, {"reboot": {"type": "SOFT"}}, {"os-stop": None}],
                         ids=["hard", "soft", "stop"])
async def test_a_guest_that_begins_anew_leaves_no_name_out(cloud, again):
    server, many = await cloud.server(), [await cloud.volume() for _ in range(3)]
    for volume in many:
        await cloud.attach(server, volume)
    await cloud.ok("DELETE", f"/servers/{server}/os-volume_attachments/{many[0]}")
    await cloud.settle()
    assert {each["volumeId"]: each["device"] for each in await cloud.attached(server)} == {
        many[1]: "/dev/vdc", many[2]: "/dev/vdd"}, "it runs, and keeps the names it gave"
    await cloud.act(server, *again.popitem())
    if (await cloud.show(server))["status"] == "SHUTOFF":
        await cloud.act(server, "os-start")
    told = {each["volumeId"]: each["device"] for each in await cloud.attached(server)}
    assert told == {many[1]: "/dev/vdb", many[2]: "/dev/vdc"}
    assert cloud.in_guest(server) == many[1:] and await cloud.facts() == [("attached", HOST)] * 2
    assert names_in(await guest_spec.build(cloud.cloud.compute, await cloud.row(server))) == told


async def test_a_guest_is_told_the_tags_of_its_volumes(cloud):
    server, plain, tagged = await cloud.server(config_drive=True), await cloud.volume(), await cloud.volume()
    await cloud.attach(server, plain, "2.49")
    await cloud.attach(server, tagged, "2.49", tag="data")
    await cloud.settle()
    device, = [each["device"] for each in await cloud.attached(server) if each["volumeId"] == tagged]
    told = await volumes.tagged(cloud.cloud.compute, server)
    shown = guest_data.meta_data(await cloud.row(server), "nova", told)["devices"]
    assert shown == [{"type": "disk", "serial": tagged, "path": device, "tags": ["data"], "bus": "none",
                      "address": "none"}]
    spec = await guest_spec.build(cloud.cloud.compute, await cloud.row(server))
    assert json.loads(spec.config_drive["openstack/latest/meta_data.json"])["devices"] == shown


def test_the_name_of_the_next_volume():
    for taken, local, name in (([], 1, "b"), (["b"], 1, "c"), (["c"], 1, "b"), (["b"], 2, "d"), (["a"], 1, "c"),
                               ([], 0, "a"), (list("bcdefghijklmnopqrstuvwxyz"), 1, "aa")):
        assert free_device([f"/dev/vd{each}" for each in taken], local) == f"/dev/vd{name}"


@covers(versions.REIMAGED_EVENT, versions.RESCUE_OF_VOLUMES)
async def test_rebuild_and_rescue_of_a_server_that_boots_from_a_volume(cloud):
    server, volume = await cloud.from_volume()
    assert (await cloud.show(server))["image"] == "" and cloud.in_guest(server) == [volume]
    made = await cloud.ask("POST", "/image/v2/images", {
        "name": "other", "disk_format": "raw", "container_format": "bare"})
    other = made.json()["id"]
    put = await cloud.http.put(f"/image/v2/images/{other}/file", content=b"other" * 100, headers={
        "x-auth-token": cloud.tokens["demo"], "content-type": "application/octet-stream"})
    assert put.status_code == 204, put.text
    assert await cloud.refuses(server, "rebuild", {"imageRef": other}, "2.92") == 400
    told = (await cloud.act(server, "rebuild", {"imageRef": cloud.image, "name": "two"}, "2.92"))["server"]
    assert told["image"] == ""
    assert (await cloud.show(server))["name"] == "two"
    blocks = cloud.cloud.volumes.driver.known[volume].blocks
    assert b"other" not in blocks.get(0, b"")
    await cloud.act(server, "rebuild", {"imageRef": other}, "2.93")
    shown = await cloud.until(server, "ACTIVE")
    assert shown["image"] == "" and cloud.in_guest(server) == [volume]
    assert cloud.cloud.volumes.driver.known[volume].blocks[0].startswith(b"other")
    assert await cloud.facts() == [("attached", HOST)]
    await rescue(cloud, server, volume)


async def rescue(cloud, server, volume):
    assert await cloud.refuses(server, "rescue", {"rescue_image_ref": cloud.image}, "2.86") == 400
    assert await cloud.refuses(server, "rescue", {"rescue_image_ref": cloud.image}, "2.87") == 400
    answer = await cloud.http.patch(f"/image/v2/images/{cloud.image}", json=[
        {"op": "add", "path": "/hw_rescue_device", "value": "disk"}], headers={
            "x-auth-token": cloud.tokens["admin"], "content-type": "application/openstack-images-v2.1-json-patch"})
    assert answer.status_code == 200, answer.text
    await cloud.act(server, "rescue", {"rescue_image_ref": cloud.image}, "2.87")
    assert (await cloud.show(server))["status"] == "RESCUE" and cloud.in_guest(server) == [volume]
    await cloud.act(server, "unrescue")
    assert (await cloud.show(server))["status"] == "ACTIVE"


async def test_shelve_and_delete_of_a_server_that_boots_from_a_volume(cloud):
    server, volume = await cloud.from_volume(delete_on_termination=True)
    await cloud.act(server, "shelve")
    images = (await cloud.ask("GET", "/image/v2/images")).json()["images"]
    assert [image["name"] for image in images] == ["small"]
    await cloud.act(server, "unshelve")
    assert (await cloud.show(server))["status"] == "ACTIVE" and cloud.in_guest(server) == [volume]
    assert await cloud.refused("DELETE", f"/servers/{server}/os-volume_attachments/{volume}") == 400
    async with cloud.cloud.services.placement.db.read() as reader:
        classes = set(await db.scalars(reader, sa.select(allocations.c.resource_class)))
    assert classes == {"VCPU", "MEMORY_MB"}
    await cloud.act(server, "shelve")
    await cloud.ok("DELETE", f"/servers/{server}")
    await cloud.settle()
    assert (await cloud.ask("GET", f"/volume/v3/volumes/{volume}")).status_code == 404


async def test_an_image_of_a_server_that_boots_from_a_volume(cloud):
    server, volume = await cloud.from_volume()
    cloud.cloud.volumes.driver.known[volume].blocks[3] = b"kept"
    assert await cloud.refuses(server, "createBackup", {"name": "b", "backup_type": "daily", "rotation": 1}) == 400
    image = (await cloud.act(server, "createImage", {"name": "snap"}, "2.45"))["image_id"]
    await cloud.settle()
    shown = (await cloud.ask("GET", f"/image/v2/images/{image}")).json()
    (mapping,) = json.loads(shown["block_device_mapping"])
    assert (shown["status"], shown["size"], shown["bdm_v2"]) == ("active", 0, "True")
    assert (mapping["source_type"], mapping["boot_index"], mapping["volume_size"]) == ("snapshot", 0, 1)
    made = await cloud.boot(imageRef=image)
    assert made.status_code == 202, made.text
    copy = made.json()["server"]["id"]
    assert (await cloud.until(copy, "ACTIVE"))["image"] == ""
    (root,) = cloud.in_guest(copy)
    assert root != volume and cloud.cloud.volumes.driver.known[root].blocks[3] == b"kept"
