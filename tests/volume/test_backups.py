"""Backups: full ones, what changed since, and getting them back byte for byte."""

from __future__ import annotations

from pileus.volume.drivers.fake import BLOCK


async def backup(world, volume, **more):
    made = (await world.ok("POST", "/backups", {"backup": {"volume_id": volume, **more}}))["backup"]
    await world.sagas.drain()
    world.clock.turn(1)
    return await world.show("backups", made["id"])


async def test_full_and_incremental_are_restored_byte_for_byte(world):
    volume = await world.volume(1)
    held = world.held(volume)[0][1]
    held.blocks = {0: b"a" * BLOCK, 40: b"b" * BLOCK}
    assert await world.refused("POST", "/backups", {"backup": {"volume_id": volume, "incremental": True}}) == 400
    full = await backup(world, volume)
    held.blocks = {0: b"c" * BLOCK, 40: b"b" * BLOCK, 99: b"d" * BLOCK}
    partial = await backup(world, volume, incremental=True)
    assert (full["is_incremental"], partial["is_incremental"], partial["status"]) == (False, True, "available")
    assert await world.refused("DELETE", f"/backups/{full['id']}") == 400
    restored = (await world.ok("POST", f"/backups/{partial['id']}/restore", {"restore": {}}))["restore"]
    assert (await world.show("backups", partial["id"]))["status"] == "restoring"
    await world.sagas.drain()
    assert (await world.show("backups", partial["id"]))["status"] == "available"
    assert world.held(restored["volume_id"])[0][1].blocks == held.blocks
    before = dict(held.blocks)
    await world.ok("POST", f"/backups/{full['id']}/restore", {"restore": {"volume_id": volume}})
    await world.sagas.drain()
    assert world.held(volume)[0][1].blocks == {0: b"a" * BLOCK, 40: b"b" * BLOCK} != before
    for each in (partial, full):
        await world.ok("DELETE", f"/backups/{each['id']}")
        await world.sagas.drain()
    assert (await world.ok("GET", "/backups"))["backups"] == []


async def test_a_backup_that_was_tampered_with_is_not_restored(world):
    volume = await world.volume(1)
    world.held(volume)[0][1].blocks = {0: b"a" * BLOCK}
    made = await backup(world, volume)
    chunks = world.backups.folder / made["id"] / "chunks"
    chunks.write_bytes(bytes(chunks.stat().st_size))
    restored = (await world.ok("POST", f"/backups/{made['id']}/restore", {"restore": {}}))["restore"]
    await world.sagas.drain()
    assert (await world.show("volumes", restored["volume_id"]))["status"] == "error"
