"""Volumes of encrypted types: their keys are sealed in the database, told to nobody, and gone with them."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from pileus.kit.ids import new_uuid
from pileus.kit.sealing import Box
from pileus.volume import versions
from pileus.volume.drivers.fake import BLOCK
from pileus.volume.model import keys, tables, volumes
from tests.covers import covers

ADMIN = "admin@p1"


async def encrypted_type(world, name="luks", **how):
    made = (await world.ok("POST", "/types", {"volume_type": {"name": name}}, token=ADMIN))["volume_type"]["id"]
    await world.ok("POST", f"/types/{made}/encryption", {"encryption": {"provider": "luks"} | how}, token=ADMIN)
    return made


async def keys_of(world, *volume_ids):
    async with world.db.read() as reader:
        rows = [await volumes.get(reader, each) for each in volume_ids]
        return [await keys.get(reader, world.box, row.encryption_key_id) for row in rows]


async def sealed(world):
    async with world.db.read() as reader:
        return [row.sealed for row in await reader.execute(sa.select(tables.encryption_keys))]


@covers(versions.ENCRYPTION_KEY, versions.ENCRYPTED_TRANSFERS)
async def test_a_volume_of_an_encrypted_type(world):
    await encrypted_type(world, cipher="aes-xts-plain64", key_size=256)
    volume = await world.volume(1, volume_type="luks")
    shown = [set(await world.show("volumes", volume, version=version)) for version in ("3.63", "3.64")]
    assert shown[1] - shown[0] == {"encryption_key_id"}
    ((_, held),) = world.held(volume)
    assert held.encrypted and (await world.show("volumes", volume))["encrypted"]
    (key,) = await keys_of(world, volume)
    assert len(key) >= 32 and not [each for each in await sealed(world) if key in each]
    snapshot = (await world.ok("POST", "/snapshots", {"snapshot": {"volume_id": volume}}))["snapshot"]["id"]
    await world.sagas.drain()
    copies = [await world.volume(None, source_volid=volume), await world.volume(None, snapshot_id=snapshot)]
    assert await keys_of(world, *copies) == [key, key] and len(set(await sealed(world))) == 3
    assert all(world.held(each)[0][1].encrypted for each in copies)
    row = (await world.ok("POST", "/attachments", {"attachment": {
        "volume_uuid": volume, "instance_uuid": new_uuid()}}))["attachment"]
    told = (await world.ok("PUT", f"/attachments/{row['id']}", {"attachment": {"connector": {"host": "h"}}},
                           token="service@services"))["attachment"]["connection_info"]
    assert world.held(volume)[0][1].export.encrypted and not told["encrypted"] and key not in str(told)
    offer = {"transfer": {"volume_id": copies[1]}}
    assert await world.refused("POST", "/os-volume-transfer", offer, version="3.69") == 400
    await world.ok("POST", "/os-volume-transfer", offer, version="3.70")
    await world.ok("DELETE", f"/volumes/{copies[0]}")
    await world.sagas.drain()
    assert len(await sealed(world)) == 2


@pytest.mark.parametrize("how", [{"provider": "rot13"}, {"cipher": "aes-cbc-essiv"}, {"key_size": 128}])
async def test_what_cannot_be_had_is_refused(world, how):
    await encrypted_type(world, **how)
    assert await world.refused("POST", "/volumes", {"volume": {"size": 1, "volume_type": "luks"}}) == 400


async def test_what_would_be_read_without_the_key_is_refused(world):
    await encrypted_type(world)
    volume, plain = await world.volume(1, volume_type="luks"), await world.volume(1)
    upload = {"os-volume_upload_image": {"image_name": "i"}}
    assert await world.refused("POST", f"/volumes/{volume}/action", upload) == 400
    for source, kind in ((volume, "__DEFAULT__"), (plain, "luks")):
        body = {"source_volid": source, "volume_type": kind}
        assert await world.refused("POST", "/volumes", {"volume": body}) == 400
    world.box = Box(b"another secret")
    with pytest.raises(keys.KeyUnusable):
        await keys_of(world, volume)


async def test_backups_of_encrypted_volumes_keep_their_key(world):
    await encrypted_type(world)
    volume, plain = await world.volume(1, volume_type="luks"), await world.volume(1)
    held = world.held(volume)[0][1]
    held.blocks = {0: b"a" * BLOCK}
    (key,) = await keys_of(world, volume)
    made = []
    for source in (volume, plain):
        made.append((await world.ok("POST", "/backups", {"backup": {"volume_id": source}}))["backup"]["id"])
        await world.sagas.drain()
    backup = f"/backups/{made[0]}"
    shown = [set(await world.show("backups", made[0], version=version)) for version in ("3.63", "3.64")]
    assert shown[1] - shown[0] == {"encryption_key_id"} and len(await sealed(world)) == 2
    assert await world.refused("GET", f"{backup}/export_record", token=ADMIN) == 400
    for wrong, target in ((made[0], plain), (made[1], volume)):
        assert await world.refused("POST", f"/backups/{wrong}/restore", {"restore": {"volume_id": target}}) == 400
    body = {"size": 1, "backup_id": made[0], "volume_type": "__DEFAULT__"}
    assert await world.refused("POST", "/volumes", {"volume": body}) == 400
    other = await world.volume(2, volume_type="luks")
    restored = [await world.volume(1, backup_id=made[0])]
    for target in (None, other):
        answer = await world.ok("POST", f"{backup}/restore", {"restore": {"volume_id": target}})
        await world.sagas.drain()
        restored.append(answer["restore"]["volume_id"])
    assert await keys_of(world, *restored) == [key] * 3
    for each in restored:
        (_, content), = world.held(each)
        assert content.encrypted and content.blocks == held.blocks
        assert (await world.show("volumes", each))["status"] == "available"
    assert len(await sealed(world)) == 5
    await world.ok("DELETE", f"/volumes/{volume}")
    await world.sagas.drain()
    assert await world.refused("POST", f"{backup}/restore", {"restore": {}}) == 400
    await world.ok("DELETE", backup)
    await world.sagas.drain()
    assert len(await sealed(world)) == 3
