"""Volumes that go to another back end, by retyping or migrating, free or used by servers."""

from __future__ import annotations

import pytest

from pileus.volume.drivers.fake import FAR, PORT
from pileus.volume.sagas.move_volume import POLL_SECONDS

ADMIN = {"token": "admin@p1"}
SERVER = "33333333-0000-4000-8000-000000000001"


@pytest.fixture
async def world(make_world):
    """With a type for each of its two back ends."""
    made = await make_world()
    for name in ("one", "two"):
        await made.ok("POST", "/types", {"volume_type": {
            "name": f"on-{name}", "extra_specs": {"volume_backend_name": name}}}, **ADMIN)
    return made


async def attached(world, volume_id, host="h"):
    """Its attachment, as compute makes it."""
    service = {"token": "service@p1"}
    row = (await world.ok("POST", "/attachments", {"attachment": {
        "volume_uuid": volume_id, "instance_uuid": SERVER}}, **service))["attachment"]
    await world.ok("PUT", f"/attachments/{row['id']}", {"attachment": {"connector": {"host": host}}}, **service)
    await world.ok("POST", f"/attachments/{row['id']}/action", {"os-complete": None}, **service)
    return row["id"]


async def ends(world):
    """Mirrors are asked after until they are in step."""
    for _ in range(4):
        await world.sagas.drain()
        world.clock.turn(POLL_SECONDS)


async def shown(world, volume_id):
    await ends(world)
    return (await world.ok("GET", f"/volumes/{volume_id}", **ADMIN))["volume"]


async def socket_of(world, attachment_id):
    found = await world.ok("GET", f"/attachments/{attachment_id}", token="service@p1")
    return found["attachment"]["connection_info"]["socket"]


@pytest.mark.parametrize(("used", "to"), [(False, "node@two#two"), (True, "node@two#two"), (False, "node@two")])
async def test_migrate_to_another_back_end(world, used, to):
    volume_id = await world.volume()
    world.drivers["one"].known[volume_id].blocks[4] = b"data"
    attachment_id = await attached(world, volume_id) if used else None
    before = used and await socket_of(world, attachment_id)
    await world.action(f"/volumes/{volume_id}", "os-migrate_volume", {"host": to}, **ADMIN)
    found = await shown(world, volume_id)
    assert (found["status"], found["migration_status"]) == ("in-use" if used else "available", "success")
    assert found["os-vol-host-attr:host"] == "node@two#two"
    assert volume_id not in world.drivers["one"].known
    moved = world.drivers["two"].known[volume_id]
    assert moved.blocks == {4: b"data"} and (moved.export is not None) is used
    if used:
        assert await socket_of(world, attachment_id) == before
        assert not moved.export.aside


async def test_retype_while_it_is_used(world):
    volume_id = await world.volume(volume_type="on-one")
    await attached(world, volume_id)
    body = {"new_type": "on-two", "migration_policy": "never"}
    await world.action(f"/volumes/{volume_id}", "os-retype", body, **ADMIN)
    found = await shown(world, volume_id)
    assert (found["status"], found["volume_type"]) == ("in-use", "on-one")
    await world.action(f"/volumes/{volume_id}", "os-retype", body | {"migration_policy": "on-demand"}, **ADMIN)
    found = await shown(world, volume_id)
    assert (found["status"], found["volume_type"]) == ("in-use", "on-two")
    assert found["os-vol-host-attr:host"] == "node@two#two"


async def test_detached_while_it_moves(world):
    """The server lets go in the middle: the volume arrives, free and served to nobody."""
    volume_id = await world.volume()
    attachment_id = await attached(world, volume_id)
    await world.ok("POST", f"/volumes/{volume_id}/action", {"os-migrate_volume": {"host": "node@two#two"}}, **ADMIN)
    await world.ok("DELETE", f"/attachments/{attachment_id}", token="service@p1")
    found = await shown(world, volume_id)
    assert (found["status"], found["os-vol-host-attr:host"]) == ("available", "node@two#two")
    assert world.drivers["two"].known[volume_id].export is None


async def test_what_cannot_move(world):
    volume_id = await world.volume()
    move = {"os-migrate_volume": {"host": "node@two#two"}}
    for host in ("node@one#one", "node@one", "node@three#three", "node@three", "node", ""):
        body = {"os-migrate_volume": {"host": host}}
        assert await world.refused("POST", f"/volumes/{volume_id}/action", body, **ADMIN) in (400, 404)
    await world.ok("POST", "/snapshots", {"snapshot": {"volume_id": volume_id}})
    await world.sagas.drain()
    assert await world.refused("POST", f"/volumes/{volume_id}/action", move, **ADMIN) == 400


async def test_a_move_that_fails_leaves_it_served_as_it_was(world):
    volume_id = await world.volume()
    await attached(world, volume_id)
    world.drivers["two"].fail = lambda what, _: "the disk is full" if what == "created" else None
    await world.action(f"/volumes/{volume_id}", "os-migrate_volume", {"host": "node@two#two"}, **ADMIN)
    found = await shown(world, volume_id)
    assert (found["status"], found["migration_status"]) == ("in-use", "error")
    assert found["os-vol-host-attr:host"] == "node@one#one"
    kept = world.drivers["one"].known[volume_id]
    assert kept.export is not None and kept.export.mirror is None and not kept.away
    (message,) = (await world.ok("GET", "/messages"))["messages"]
    assert "the disk is full" in message["user_message"] or message["resource_uuid"] == volume_id


async def test_used_at_a_socket_that_no_other_back_end_has(world):
    """As those are which an older release attached."""
    shared, world.drivers["one"].sockets = world.drivers["one"].sockets, world.drivers["one"].folder
    volume_id = await world.volume()
    await attached(world, volume_id)
    world.drivers["one"].sockets = shared
    await world.action(f"/volumes/{volume_id}", "os-migrate_volume", {"host": "node@two#two"}, **ADMIN)
    found = await shown(world, volume_id)
    assert (found["status"], found["migration_status"]) == ("in-use", "error")
    assert [name for name, _ in world.held(volume_id)] == ["one"]


async def test_a_move_under_guests_that_do_not_come_back(make_world):
    world = await make_world(move_attached=False)
    volume_id = await world.volume()
    await attached(world, volume_id)
    await world.action(f"/volumes/{volume_id}", "os-migrate_volume", {"host": "node@two#two"}, **ADMIN)
    found = await shown(world, volume_id)
    assert (found["status"], found["migration_status"]) == ("in-use", "error")
    assert [name for name, _ in world.held(volume_id)] == ["one"]


async def test_servers_of_other_hosts_have_it_over_the_network_and_no_move_follows(make_world):
    world = await make_world(between_hosts="tls")
    volume_id, here = await world.volume(), await world.volume()
    row = await attached(world, volume_id)
    told = (await world.ok("GET", f"/attachments/{row}", token="service@p1"))["attachment"]["connection_info"]
    assert (told["address"], told["port"], told["tls"], told["export"]) == (FAR, PORT, True, volume_id)
    assert "socket" not in told
    own = await attached(world, here, host="node")
    assert "address" not in (await world.ok("GET", f"/attachments/{own}", token="service@p1"))["attachment"][
        "connection_info"] and await socket_of(world, own)
    for each, status in ((volume_id, "error"), (here, "success")):
        now = (await shown(world, each))["os-vol-host-attr:host"]
        (to,) = {"node@one#one", "node@two#two"} - {now}
        await world.action(f"/volumes/{each}", "os-migrate_volume", {"host": to}, **ADMIN)
        assert (await shown(world, each))["migration_status"] == status
