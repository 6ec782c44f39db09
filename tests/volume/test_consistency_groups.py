"""Consistency groups, the older way to groups of volumes and snapshots of them."""

from __future__ import annotations

ADMIN = "admin@p1"


async def made(world, path, kind, **body):
    found = (await world.ok("POST", path, {kind: body}))[kind.partition("-")[0]]
    await world.sagas.drain()
    return found["id"]


async def a_group(world):
    kind = (await world.ok("GET", "/types/default"))["volume_type"]["id"]
    group = await made(world, "/consistencygroups", "consistencygroup", volume_types=kind, name="g")
    return group, await world.volume(1, consistencygroup_id=group), kind


async def test_a_group_its_volumes_and_its_end(world):
    group, volume, kind = await a_group(world)
    path = f"/consistencygroups/{group}"
    shown = await world.show("consistencygroups", group)
    assert (shown["status"], shown["name"], shown["volume_types"]) == ("available", "g", [kind])
    seen = await world.show("volumes", volume)
    assert seen["consistencygroup_id"] == seen["group_id"] == group
    other = await world.volume(1)
    assert (await world.show("volumes", other))["consistencygroup_id"] is None
    change = {"consistencygroup": {"name": "new", "add_volumes": other, "remove_volumes": volume}}
    await world.ok("PUT", f"{path}/update", change)
    assert (await world.show("volumes", other))["consistencygroup_id"] == group
    assert [each["name"] for each in (await world.ok("GET", "/consistencygroups"))["consistencygroups"]] == ["new"]
    assert await world.refused("POST", f"{path}/delete", {"consistencygroup": {"force": False}}) == 400
    assert await world.refused("GET", path, token="member@p2") == 404
    await world.ok("POST", f"{path}/delete", {"consistencygroup": {"force": True}})
    await world.sagas.drain()
    assert await world.refused("GET", path) == await world.refused("GET", f"/volumes/{other}") == 404


async def test_snapshots_and_groups_made_of_them(world):
    group, volume, _ = await a_group(world)
    snapshot = await made(world, "/cgsnapshots", "cgsnapshot", consistencygroup_id=group, name="s")
    shown = await world.show("cgsnapshots", snapshot)
    assert (shown["status"], shown["name"], shown["consistencygroup_id"]) == ("available", "s", group)
    assert [each["volume_id"] for each in (await world.ok("GET", "/snapshots"))["snapshots"]] == [volume]
    for source in ({"cgsnapshot_id": snapshot}, {"source_cgid": group}):
        copy = await made(world, "/consistencygroups/create_from_src", "consistencygroup-from-src", name="c", **source)
        assert (await world.show("consistencygroups", copy))["status"] == "available"
    listed = (await world.ok("GET", "/volumes/detail"))["volumes"]
    assert len({each["consistencygroup_id"] for each in listed}) == len(listed) == 3
    detail = (await world.ok("GET", "/cgsnapshots/detail"))["cgsnapshots"]
    assert [each["id"] for each in detail] == [snapshot] == [
        each["id"] for each in (await world.ok("GET", "/cgsnapshots"))["cgsnapshots"]]
    assert len((await world.ok("GET", "/consistencygroups/detail"))["consistencygroups"]) == 3
    await world.ok("DELETE", f"/cgsnapshots/{snapshot}")
    await world.sagas.drain()
    assert await world.refused("GET", f"/cgsnapshots/{snapshot}") == 404


async def test_groups_of_other_types_are_none(world):
    kind = (await world.ok("GET", "/types/default"))["volume_type"]["id"]
    other = (await world.ok("POST", "/group_types", {"group_type": {"name": "o"}}, token=ADMIN))["group_type"]["id"]
    group = await made(world, "/groups", "group", group_type=other, volume_types=[kind])
    volume = await world.volume(1, group_id=group)
    held = await made(world, "/group_snapshots", "group_snapshot", group_id=group)
    assert (await world.show("volumes", volume))["consistencygroup_id"] is None
    assert (await world.ok("GET", "/consistencygroups"))["consistencygroups"] == []
    assert (await world.ok("GET", "/cgsnapshots"))["cgsnapshots"] == []
    for path in (f"/consistencygroups/{group}", f"/cgsnapshots/{held}"):
        assert await world.refused("GET", path) == 404
    for body in ({"source_cgid": group}, {"cgsnapshot_id": held}):
        assert await world.refused("POST", "/consistencygroups/create_from_src",
                                   {"consistencygroup-from-src": body}) == 404
    assert await world.refused("POST", "/cgsnapshots", {"cgsnapshot": {"consistencygroup_id": group}}) == 404
