"""Volumes over the API: made of everything they can be made of, listed, changed, deleted."""

from __future__ import annotations

import pytest

from pileus.volume.drivers.fake import BLOCK
from pileus.volume.paths import COLLECTIONS
from pileus.volume.service import SERVICE

IMAGE = "22222222-0000-4000-8000-000000000001"
DATA = b"x" * BLOCK + bytes(BLOCK) + b"y" * 100


async def test_create_show_delete(world):
    body = {"volume": {"size": 2, "name": "data", "metadata": {"a": "b"}}}
    made = (await world.ok("POST", "/volumes", body))["volume"]
    assert (made["status"], made["size"], made["bootable"], made["attachments"]) == ("creating", 2, "false", [])
    await world.sagas.drain()
    shown = await world.show("volumes", made["id"])
    assert (shown["status"], shown["volume_type"], shown["os-vol-tenant-attr:tenant_id"]) == (
        "available", "__DEFAULT__", "p1")
    assert "os-vol-host-attr:host" not in shown
    assert (await world.show("volumes", made["id"], token="admin@p1"))["os-vol-host-attr:host"].startswith("node@")
    assert [volume.size_gb for _, volume in world.held(made["id"])] == [2]
    assert await world.refused("GET", f"/volumes/{made['id']}", token="member@p2") == 404
    await world.ok("DELETE", f"/volumes/{made['id']}")
    await world.sagas.drain()
    assert await world.refused("GET", f"/volumes/{made['id']}") == 404
    assert world.held(made["id"]) == []


async def test_the_project_in_the_path_may_be_left_out_but_not_another_one(world):
    headers = {"x-auth-token": "member@p1"}
    assert (await world.http.get("/v3/volumes", headers=headers)).status_code == 200
    assert (await world.http.get("/v3/p1/volumes", headers=headers)).status_code == 200
    assert (await world.http.get("/v3/p2/volumes", headers=headers)).status_code == 400


def test_no_collection_is_taken_for_a_project():
    first = {route.path.split("/")[2] for route in SERVICE.routes.all if route.path.startswith("/v3/")}
    assert {each for each in first if not each.startswith("{")} <= COLLECTIONS


@pytest.mark.parametrize("body", [
    {}, {"size": 0}, {"size": -1}, {"size": "#$%"}, {"size": 1.5}, {"size": True}, {"size": None},
    {"size": 1, "imageRef": IMAGE}, {"size": 1, "snapshot_id": "a", "source_volid": "b"},
    {"size": 1, "availability_zone": "moon"}, {"size": 1, "metadata": {"": "x"}}, {"size": 1, "name": "n" * 256}])
async def test_a_bad_request_is_refused(world, body):
    assert await world.refused("POST", "/volumes", {"volume": body}) == 400


@pytest.mark.parametrize("body", [
    {"snapshot_id": "nothing"}, {"source_volid": "nothing"}, {"volume_type": "nothing"}, {"backup_id": "nothing"}])
async def test_what_is_not_there_is_not_found(world, body):
    assert await world.refused("POST", "/volumes", {"volume": {"size": 1, **body}}) == 404


async def test_from_an_image(world):
    world.image.contents[IMAGE] = DATA
    volume = await world.volume(1, imageRef=IMAGE)
    shown = await world.show("volumes", volume)
    assert (shown["status"], shown["bootable"]) == ("available", "true")
    assert shown["volume_image_metadata"]["os_distro"] == "debian"
    (_, held), = world.held(volume)
    assert held.blocks == {0: b"x" * BLOCK, 2: b"y" * 100}


async def test_an_image_that_cannot_be_read_tells_why(world):
    world.image.contents[IMAGE] = DATA
    for driver in world.drivers.values():
        driver.fail = lambda what, volume_id: "the disk is full" if what == "filled" else None
    volume = await world.volume(1, imageRef=IMAGE)
    assert (await world.show("volumes", volume))["status"] == "error"
    assert world.held(volume) == []
    message, = (await world.ok("GET", "/messages"))["messages"]
    assert message["resource_uuid"] == volume and "the disk is full" in message["user_message"]
    await world.ok("DELETE", f"/messages/{message['id']}")
    assert (await world.ok("GET", "/messages"))["messages"] == []


async def test_what_no_back_end_took_goes_at_once(world):
    kind = (await world.ok("POST", "/types", {"volume_type": {"name": "nowhere", "extra_specs": {
        "volume_backend_name": "nowhere"}}}, token="admin@p1"))["volume_type"]["id"]
    volume = await world.volume(1, volume_type=kind)
    assert (await world.show("volumes", volume))["status"] == "error"
    await world.ok("DELETE", f"/volumes/{volume}")
    await world.ok("DELETE", f"/types/{kind}", token="admin@p1")
    assert await world.refused("GET", f"/volumes/{volume}") == 404


async def test_clones_and_snapshots_are_independent(world):
    world.image.contents[IMAGE] = DATA
    volume = await world.volume(1, imageRef=IMAGE)
    snapshot = (await world.ok("POST", "/snapshots", {"snapshot": {"volume_id": volume, "name": "s"}}))["snapshot"]
    await world.sagas.drain()
    assert (await world.show("snapshots", snapshot["id"]))["status"] == "available"
    of_snapshot = await world.volume(None, snapshot_id=snapshot["id"])
    clone = await world.volume(3, source_volid=volume)
    assert await world.refused("DELETE", f"/volumes/{volume}") == 400
    await world.ok("DELETE", f"/snapshots/{snapshot['id']}")
    await world.sagas.drain()
    await world.ok("DELETE", f"/volumes/{volume}")
    await world.sagas.drain()
    for copy, size in ((of_snapshot, 1), (clone, 3)):
        shown = await world.show("volumes", copy)
        assert (shown["status"], shown["size"], shown["bootable"]) == ("available", size, "true")
        assert world.held(copy)[0][1].blocks[0] == b"x" * BLOCK
    assert await world.refused("POST", "/volumes", {"volume": {"size": 2, "source_volid": clone}}) == 400


async def test_delete_with_all_its_snapshots(world):
    volume = await world.volume(1)
    for _ in range(2):
        await world.ok("POST", "/snapshots", {"snapshot": {"volume_id": volume}})
    await world.sagas.drain()
    await world.ok("DELETE", f"/volumes/{volume}?cascade=true")
    await world.sagas.drain()
    assert (await world.ok("GET", "/snapshots"))["snapshots"] == []
    assert await world.refused("GET", f"/volumes/{volume}") == 404


async def test_lists_filter_sort_and_page(world):
    ids = [await world.volume(size, name=f"v{size}", metadata={"n": str(size)}) for size in (1, 2, 3)]
    await world.volume(1, token="member@p2")

    async def names(query, **more):
        return [each["name"] for each in (await world.ok("GET", f"/volumes/detail?{query}", **more))["volumes"]]
    assert sorted(await names("")) == ["v1", "v2", "v3"]
    assert await names("name=v2") == ["v2"]
    assert await names("name~=v&sort=name:asc") == ["v1", "v2", "v3"]
    assert await names("metadata={'n': '3'}") == ["v3"]
    assert await names("status=error") == []
    assert await names("bootable=true") == []
    assert await names("sort=size:desc&limit=2") == ["v3", "v2"]
    assert await names(f"sort=size:desc&limit=2&marker={ids[1]}") == ["v1"]
    assert await names("sort=size:desc&offset=1&limit=1") == ["v2"]
    assert len(await names("all_tenants=1", token="admin@admins")) == 4
    assert await names("all_tenants=1&project_id=p1&name=v1", token="admin@admins") == ["v1"]
    page = await world.ok("GET", "/volumes?limit=1&with_count=true&sort=name")
    assert page["count"] == 3 and page["volumes_links"][0]["rel"] == "next"
    for wrong in ("limit=-1", "limit=x", "sort=nothing", "sort=name:up", "marker=nothing", "offset=-1"):
        assert await world.refused("GET", f"/volumes?{wrong}") in (400, 404)
    assert (await world.ok("GET", "/volumes/summary"))["volume-summary"] == {
        "total_count": 3, "total_size": 6, "metadata": {"n": ["1", "2", "3"]}}


async def test_names_metadata_and_flags(world):
    volume = await world.volume(1)
    path = f"/volumes/{volume}"
    shown = (await world.ok("PUT", path, {"volume": {"name": " new ", "description": "d"}}))["volume"]
    assert (shown["name"], shown["description"]) == ("new", "d")
    assert (await world.ok("POST", f"{path}/metadata", {"metadata": {"a": "1", "b": "2"}}))["metadata"] == {
        "a": "1", "b": "2"}
    assert (await world.ok("PUT", f"{path}/metadata/a", {"meta": {"a": "3"}}))["meta"] == {"a": "3"}
    assert (await world.ok("GET", f"{path}/metadata/a"))["meta"] == {"a": "3"}
    await world.ok("DELETE", f"{path}/metadata/b")
    assert await world.refused("DELETE", f"{path}/metadata/b") == 404
    assert (await world.ok("GET", f"{path}/metadata"))["metadata"] == {"a": "3"}
    await world.action(path, "os-set_bootable", {"bootable": True})
    await world.action(path, "os-update_readonly_flag", {"readonly": True})
    await world.action(path, "os-set_image_metadata", {"metadata": {"k": "v"}})
    shown = await world.show("volumes", volume)
    assert (shown["bootable"], shown["metadata"]["readonly"], shown["volume_image_metadata"]) == (
        "true", "True", {"k": "v"})
    await world.action(path, "os-unset_image_metadata", {"key": "k"})
    assert "volume_image_metadata" not in await world.show("volumes", volume)


async def test_extend(world):
    volume = await world.volume(1)
    path = f"/volumes/{volume}"
    await world.action(path, "os-extend", {"new_size": 4})
    assert (await world.show("volumes", volume))["size"] == 4
    assert world.held(volume)[0][1].size_gb == 4
    for wrong in (4, 3, None, "#", 10_000):
        assert await world.refused("POST", f"{path}/action", {"os-extend": {"new_size": wrong}}) in (400, 413)
    for driver in world.drivers.values():
        driver.fail = lambda what, volume_id: "no room" if what == "extended" else None
    await world.action(path, "os-extend", {"new_size": 5})
    shown = await world.show("volumes", volume)
    assert (shown["status"], shown["size"]) == ("error_extending", 4)


async def test_upload_to_an_image(world):
    world.image.contents[IMAGE] = DATA
    volume = await world.volume(1, imageRef=IMAGE)
    body = {"image_name": "copy", "disk_format": "raw", "container_format": "bare"}
    answer = (await world.ok("POST", f"/volumes/{volume}/action", {"os-volume_upload_image": body}))
    assert (await world.show("volumes", volume))["status"] == "uploading"
    await world.sagas.drain()
    image_id = answer["os-volume_upload_image"]["image_id"]
    assert world.image.sizes[image_id] == 1 << 30 and world.image.contents[image_id].startswith(DATA)
    assert (await world.show("volumes", volume))["status"] == "available"


async def test_revert_goes_to_the_latest_snapshot_only(world):
    world.image.contents[IMAGE] = DATA
    volume = await world.volume(1, imageRef=IMAGE)
    made = [(await world.ok("POST", "/snapshots", {"snapshot": {"volume_id": volume}}))["snapshot"]["id"]
            for _ in range(1)]
    await world.sagas.drain()
    world.held(volume)[0][1].blocks[0] = b"changed"
    world.clock.turn(1)
    await world.action(f"/volumes/{volume}", "revert", {"snapshot_id": made[0]})
    assert world.held(volume)[0][1].blocks[0] == b"x" * BLOCK
    assert (await world.show("volumes", volume))["status"] == "available"


async def test_quotas_are_counted(make_world):
    world = await make_world(volumes=2, gigabytes=5, snapshots=1)
    first = await world.volume(2)
    assert await world.refused("POST", "/volumes", {"volume": {"size": 4}}) == 413
    await world.volume(2)
    assert await world.refused("POST", "/volumes", {"volume": {"size": 1}}) == 413
    assert await world.refused("POST", "/snapshots", {"snapshot": {"volume_id": first}}) == 413
    assert await world.refused("POST", f"/volumes/{first}/action", {"os-extend": {"new_size": 4}}) == 413
    used = (await world.ok("GET", "/os-quota-sets/p1?usage=True"))["quota_set"]
    assert used["volumes"] == {"limit": 2, "in_use": 2, "reserved": 0}
    assert used["gigabytes"]["in_use"] == 4
    await world.ok("PUT", "/os-quota-sets/p1", {"quota_set": {"volumes": 3, "gigabytes___DEFAULT__": 5}},
                   token="admin@admins")
    assert await world.refused("POST", "/volumes", {"volume": {"size": 2}}) == 413
    await world.volume(1)
    assert (await world.ok("GET", "/limits"))["limits"]["absolute"]["totalVolumesUsed"] == 3
    assert await world.refused("PUT", "/os-quota-sets/p1", {"quota_set": {"volumes": 9}}) == 403


async def test_reset_and_force_delete_at_any_status(world):
    volume = await world.volume(1)
    path = f"/volumes/{volume}"
    assert await world.refused("POST", f"{path}/action", {"os-reset_status": {"status": "error"}}) == 403
    await world.action(path, "os-reset_status", {"status": "creating"}, token="admin@p1")
    assert await world.refused("DELETE", path) == 400
    await world.action(path, "os-force_delete", {}, token="admin@p1")
    assert await world.refused("GET", path) == 404


async def test_volumes_by_a_size_that_none_can_have(world):
    await world.volume(3)
    for size, found in ((3, 1), (1 << 31, 0), (1 << 70, 0), ("x", 0)):
        assert len((await world.ok("GET", f"/volumes?size={size}"))["volumes"]) == found
