"""Volumes of encrypted types: their keys are sealed in the database, told to nobody, and gone with them."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from pileus.kit.ids import new_uuid
from pileus.kit.sealing import Box
from pileus.volume import versions
from pileus.volume.drivers.fake import BLOCK
from pileus.volume.model import keys, tables, volumes
from pileus.volume.reconcilers.keys_of_images import keys_of_images
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


async def test_an_image_of_an_encrypted_volume_has_a_key_of_its_own(world):
    await encrypted_type(world)
    volume = await world.volume(1, volume_type="luks")
    ((_, held),) = world.held(volume)
    held.blocks[3] = b"c" * BLOCK
    upload = {"image_name": "i"}
    body = {"os-volume_upload_image": upload | {"disk_format": "qcow2"}}
    assert await world.refused("POST", f"/volumes/{volume}/action", body) == 400
    made = await world.action(f"/volumes/{volume}", "os-volume_upload_image", upload)
    image_id = made["os-volume_upload_image"]["image_id"]
    told = world.image.properties[image_id]
    assert told["cinder_encryption_key_deletion_policy"] == "on_image_deletion" and len(set(await sealed(world))) == 2
    assert await world.refused("POST", "/volumes", {"volume": {"size": 1, "imageRef": image_id}}) == 400
    copy = await world.volume(1, imageRef=image_id, volume_type="luks")
    assert (await world.show("volumes", copy))["status"] == "available"
    assert await keys_of(world, copy) == await keys_of(world, volume)
    ((_, there),) = world.held(copy)
    assert there.blocks == held.blocks and there.encrypted
    again = await world.action(f"/volumes/{copy}", "os-volume_upload_image", upload)
    another = world.image.properties[again["os-volume_upload_image"]["image_id"]]
    assert another["cinder_encryption_key_id"] != told["cinder_encryption_key_id"] and len(await sealed(world)) == 4
    await world.image.remove(image_id)
    for left in (4, 3, 3):                       # an image may come after its key, but not an hour
        await keys_of_images.run(world)
        assert len(await sealed(world)) == left


async def test_an_image_cannot_name_the_key_of_a_volume(world):
    await encrypted_type(world)
    volume = await world.volume(1, volume_type="luks")
    key_id = (await world.show("volumes", volume))["encryption_key_id"]
    world.image.contents["22222222-0000-4000-8000-000000000000"] = b"x"
    for named in (key_id, new_uuid()):
        world.image.properties["22222222-0000-4000-8000-000000000000"] = {"cinder_encryption_key_id": named}
        body = {"size": 1, "imageRef": "22222222-0000-4000-8000-000000000000", "volume_type": "luks"}
        assert await world.refused("POST", "/volumes", {"volume": body}) == 400
