"""One row per attachment: both APIs, the status that follows from it, and who may not have a second one."""

from __future__ import annotations

import asyncio

from pileus.kit.ids import new_uuid
from pileus.volume.drivers.base import ExportOptions
from pileus.volume.messages import BackEndSeen
from pileus.volume.model import volumes
from pileus.volume.model.volumes import Status
from pileus.volume.reconcilers import orphaned_exports

SERVER, OTHER = new_uuid(), new_uuid()
CONNECTOR = {"host": "host-1", "mountpoint": "/dev/vdb"}


async def attachment(world, volume, server=SERVER, **more):
    return (await world.ok("POST", "/attachments", {"attachment": {
        "volume_uuid": volume, "instance_uuid": server, **more}}))["attachment"]


async def test_reserve_connect_complete_delete(world):
    volume = await world.volume(1)
    made = await attachment(world, volume)
    assert (made["status"], (await world.show("volumes", volume))["status"]) == ("reserved", "reserved")
    path = f"/attachments/{made['id']}"
    for wrong in ({"host": {"": ""}}, {"host": "h", "mountpoint": 5}, {"host": "h", "mode": "x" * 9}):
        assert await world.refused("PUT", path, {"attachment": {"connector": wrong}}, token="service@services") == 400
    body = {"attachment": {"connector": CONNECTOR}}
    shown = (await world.ok("PUT", path, body, token="service@services"))["attachment"]
    assert shown["status"] == "attaching" and shown["connection_info"]["driver_volume_type"] == "nbd"
    assert (await world.show("attachments", made["id"]))["connection_info"] == {}
    assert world.held(volume)[0][1].export is not None
    await world.action(path, "os-complete", {})
    seen = await world.show("volumes", volume)
    assert seen["status"] == "in-use"
    assert [(each["server_id"], each["device"]) for each in seen["attachments"]] == [(SERVER, "/dev/vdb")]
    assert await world.refused("DELETE", f"/volumes/{volume}") == 400
    await by_nobody_but_compute(world, made)
    await world.ok("DELETE", path, token="service@services")
    assert (await world.show("volumes", volume))["status"] == "available"
    assert world.held(volume)[0][1].export is None
    assert await world.refused("GET", path) == 404


async def by_nobody_but_compute(world, held):
    """Neither its owner nor an administrator takes it from its server, by whatever call."""
    volume, other = held["volume_id"], await world.volume(1)
    action = f"/volumes/{volume}/action"
    for token in ("admin@p1", "member@p1"):
        assert await world.refused("DELETE", f"/attachments/{held['id']}", token=token) == 409
        for named in ({}, {"attachment_id": held["id"]}):
            assert await world.refused("POST", action, {"os-detach": named}, token=token) == 409
        elsewhere = {"os-detach": {"attachment_id": held["id"]}}
        assert await world.refused("POST", f"/volumes/{other}/action", elsewhere, token=token) == 400
    for name in ("os-force_detach", "os-terminate_connection"):
        assert await world.refused("POST", action, {name: {"connector": CONNECTOR}}, token="admin@p1") == 409
    assert (await world.show("attachments", held["id"]))["status"] == "attached"


async def test_a_second_attachment_needs_a_type_that_allows_it(world):
    volume = await world.volume(1)
    await attachment(world, volume)
    body = {"attachment": {"volume_uuid": volume, "instance_uuid": OTHER}}
    assert await world.refused("POST", "/attachments", body) == 400
    await world.ok("POST", "/types", {"volume_type": {"name": "many", "extra_specs": {"multiattach": "<is> True"}}},
                   token="admin@admins")
    shared = await world.volume(1, volume_type="many")
    for server in (SERVER, OTHER):
        await attachment(world, shared, server)
    assert await world.refused("POST", "/attachments", {"attachment": {
        "volume_uuid": shared, "instance_uuid": SERVER}}) == 400
    assert len((await world.ok("GET", f"/attachments?volume_id={shared}"))["attachments"]) == 2


async def test_of_many_at_once_one_wins(world):
    volume = await world.volume(1)
    body = {"attachment": {"volume_uuid": volume, "instance_uuid": SERVER}}
    answers = await asyncio.gather(*(world.call("POST", "/attachments", body) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers)[0] == 200
    assert len([answer for answer in answers if answer.status_code == 200]) == 1
    assert len((await world.ok("GET", "/attachments"))["attachments"]) == 1


async def test_detaching_twice_at_once_and_while_it_completes_ends_consistent(world):
    volume = await world.volume(1)
    made = await attachment(world, volume)
    path = f"/attachments/{made['id']}"
    await world.ok("PUT", path, {"attachment": {"connector": CONNECTOR}}, token="service@services")
    answers = await asyncio.gather(
        world.call("DELETE", path, token="service@services"), world.call("DELETE", path, token="service@services"),
        world.call("POST", f"{path}/action", {"os-complete": {}}, token="service@services"),
        world.call("POST", f"/volumes/{volume}/action", {"os-detach": {}}))
    assert all(answer.status_code < 500 for answer in answers)
    left = (await world.ok("GET", "/attachments"))["attachments"]
    status = (await world.show("volumes", volume))["status"]
    assert (left, status) == ([], "available")


async def test_the_older_actions_write_the_same_rows(world):
    volume = await world.volume(1)
    path = f"/volumes/{volume}"
    await world.action(path, "os-reserve")
    assert (await world.show("volumes", volume))["status"] == "attaching"
    assert await world.refused("POST", f"{path}/action", {"os-reserve": {}}) == 400
    await world.action(path, "os-unreserve")
    assert (await world.show("volumes", volume))["status"] == "available"
    await world.action(path, "os-attach", {"instance_uuid": SERVER, "mountpoint": "/dev/vdc"})
    info = await world.action(path, "os-initialize_connection", {"connector": CONNECTOR}, token="admin@p1")
    assert info["connection_info"]["data"]["export"] == volume
    row, = (await world.ok("GET", "/attachments/detail"))["attachments"]
    assert (row["instance"], row["status"]) == (SERVER, "attached")
    await world.action(path, "os-begin_detaching")
    assert (await world.show("volumes", volume))["status"] == "detaching"
    await world.action(path, "os-roll_detaching")
    assert (await world.show("volumes", volume))["status"] == "in-use"
    await world.action(path, "os-terminate_connection", {"connector": CONNECTOR}, token="service@services")
    await world.action(path, "os-detach", {"attachment_id": row["id"]})
    assert (await world.show("volumes", volume))["status"] == "available"
    assert world.held(volume)[0][1].export is None


async def test_extending_what_is_attached_tells_compute(world):
    volume = await world.volume(1)
    await world.action(f"/volumes/{volume}", "os-attach", {"instance_uuid": SERVER, "mountpoint": "/dev/vdc"})
    body = {"os-extend": {"new_size": 2}}
    assert await world.refused("POST", f"/volumes/{volume}/action", body, version="3.41") == 400
    await world.action(f"/volumes/{volume}", "os-extend", {"new_size": 2})
    shown = await world.show("volumes", volume)
    assert (shown["status"], shown["size"]) == ("in-use", 2)
    assert world.compute.events == [{"name": "volume-extended", "server_uuid": SERVER, "tag": volume}]


async def test_what_is_served_to_nobody_is_served_no_longer(world):
    """Two volumes are served for nobody, one of them since a moment ago, and one for a server."""
    orphan, fresh, used = [await world.volume(1) for _ in range(3)]
    held = await attachment(world, used)
    await world.ok("PUT", f"/attachments/{held['id']}", {"attachment": {"connector": CONNECTOR}},
                   token="service@services")
    drivers = {volume: world.drivers[world.held(volume)[0][0]] for volume in (orphan, fresh, used)}
    for volume in (orphan, fresh):
        await drivers[volume].export(volume, ExportOptions())
    world.clock.turn(orphaned_exports.OLD_ENOUGH + 1)
    await world.ok("PUT", f"/volumes/{fresh}", {"volume": {"name": "new"}})
    for name, driver in world.drivers.items():
        await world.bus.call(BackEndSeen(host=f"node@{name}", zone="nova", facts=await driver.facts()))
    await orphaned_exports.orphaned_exports.run(world)
    assert [drivers[each].known[each].export is not None for each in (orphan, fresh, used)] == [False, True, True]


async def test_compute_has_swapped_one_volume_for_another(world):
    old, new, busy = [await world.volume(1, token="admin@p1") for _ in range(3)]
    made = await attachment(world, old)
    path = f"/attachments/{made['id']}"
    await world.ok("PUT", path, {"attachment": {"connector": CONNECTOR}}, token="service@services")
    await world.action(path, "os-complete", {})
    action, body = f"/volumes/{old}/action", {"os-migrate_volume_completion": {"new_volume": new, "error": False}}
    assert await world.refused("POST", action, body) == 403
    failed = {"os-migrate_volume_completion": {"new_volume": new, "error": True}}
    assert await world.ok("POST", action, failed, token="admin@p1") == {"save_volume_id": new}
    assert (await world.show("volumes", old))["status"] == "in-use"
    for _ in range(2):
        assert await world.ok("POST", action, body, token="admin@p1") == {"save_volume_id": new}
        seen = await world.show("volumes", new)
        assert (seen["status"], [each["server_id"] for each in seen["attachments"]]) == ("in-use", [SERVER])
        assert (await world.show("volumes", old))["status"] == "available"
        assert world.held(old)[0][1].export is None
    await world.action(f"/volumes/{busy}", "os-reset_status", {"migration_status": "migrating"}, token="admin@p1")
    for one, other in ((busy, new), (new, busy)):
        body = {"os-migrate_volume_completion": {"new_volume": other}}
        assert await world.refused("POST", f"/volumes/{one}/action", body, token="admin@p1") == 400
    body = {"os-migrate_volume_completion": {"new_volume": new_uuid()}}
    assert await world.refused("POST", action, body, token="admin@p1") == 404


async def test_a_volume_is_served_again_when_whoever_served_it_has_died(world):
    used, unused, moving = [await world.volume(1) for _ in range(3)]
    for volume in (used, moving):
        made = await attachment(world, volume)
        await world.ok("PUT", f"/attachments/{made['id']}", {"attachment": {"connector": CONNECTOR}},
                       token="service@services")
        await world.action(f"/attachments/{made['id']}", "os-complete", {})
    async with world.db.write() as tx:
        await volumes.change(tx, await volumes.get(tx, moving), 1.0, status=Status.RETYPING)
    held = {volume: world.held(volume)[0] for volume in (used, unused, moving)}
    for name, each in held.values():
        each.lost = True
        await world.bus.call(BackEndSeen(host=f"node@{name}", zone="nova", facts=await world.drivers[name].facts(),
                                         lost=(new_uuid(), *(await world.drivers[name].facts()).lost)))
    assert {volume: each.lost for volume, (_, each) in held.items()} == {used: False, unused: True, moving: True}
    other = "two" if held[used][0] == "one" else "one"
    held[used][1].lost = True
    await world.bus.call(BackEndSeen(host=f"node@{other}", zone="nova", facts=await world.drivers[other].facts(),
                                     lost=(used,)))
    assert held[used][1].lost                    # another back end, which had it once, says nothing of it
