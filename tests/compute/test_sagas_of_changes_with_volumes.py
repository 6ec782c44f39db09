"""Sagas that attach and detach volumes survive crashes at each step and unwind from each, with real services."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from pileus.compute.runtime import Compute
from pileus.compute.sagas.attach_volume import AttachVolume, DetachVolume
from pileus.compute.volumes import VolumeWish
from pileus.kit.saga_testing import prove
from tests.cloud_databases import cloud_databases
from tests.compute.test_sagas_of_changes import Worlds, with_active_server
from tests.compute.whole_cloud import HOST, SERVER, WholeCloud, whole_clouds

pytestmark = pytest.mark.whole_cloud


class VolumeWorlds(Worlds):
    """With a volume that is reserved for the server."""

    async def facts(self, world: Compute) -> dict[str, Any]:
        assert self.cloud is not None
        return await self.cloud.volume_facts()

    async def reserved(self) -> Compute:
        return await self.active()

    async def attach(self) -> AttachVolume:
        compute = await self.active()
        (held,) = await compute.volume.attachments(SERVER)
        return AttachVolume(server_id=SERVER, attachment_id=held.id, wish=VolumeWish(device="/dev/vdb"))


async def with_reserved_volume(cloud: WholeCloud) -> None:
    await with_active_server(cloud)
    await cloud.compute.volume.attach(await cloud.add_volume(), SERVER)


@pytest.fixture
async def worlds(database_kind, spare_databases, tmp_path) -> AsyncIterator[VolumeWorlds]:
    async with (cloud_databases(database_kind, tmp_path, spare_databases) as databases,
                whole_clouds(tmp_path, databases, with_reserved_volume) as make):
        yield VolumeWorlds(make)


async def test_attach_and_detach(worlds: VolumeWorlds):
    attach = await worlds.attach()
    detach = DetachVolume(server_id=SERVER, attachment_id=attach.attachment_id)

    async def attached() -> Compute:
        return await worlds.do(await worlds.active(), attach)

    nothing = {"attachments": [], "volumes": ["available"], "in guests": [[]], "served": [False]}
    await prove(worlds.active, attach, worlds.facts, unwound=nothing)
    found = await worlds.facts(await attached())
    assert found["attachments"] == [("attached", HOST)] and found["volumes"] == ["in-use"]
    assert len(found["in guests"][0]) == 1 and found["served"] == [True]
    await prove(attached, detach, worlds.facts)
    assert await worlds.facts(await worlds.do(await attached(), detach)) == nothing
