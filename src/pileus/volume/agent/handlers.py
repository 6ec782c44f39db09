"""What a back end does when told to. Every message states a wanted end, so repeats are harmless."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

from pileus.kit import log
from pileus.kit.bus import Handlers
from pileus.volume import messages
from pileus.volume.agent.agent import Agent
from pileus.volume.drivers import qcow2
from pileus.volume.drivers.base import Export, HeldVolume, VolumeFailed
from pileus.volume.messages import BackupWritten

handlers = Handlers()
GIB = 1 << 30
PIECE = 1 << 20


@handlers.on(messages.EnsureVolume)
async def ensure_volume(agent: Agent, message: messages.EnsureVolume) -> None:
    async with agent.turn(message.volume_id, message.origin.volume_id if message.origin else None):
        await agent.driver.ensure(message.volume_id, message.size_gb, message.origin, message.key)


@handlers.on(messages.EnsureNoVolume)
async def ensure_no_volume(agent: Agent, message: messages.EnsureNoVolume) -> None:
    async with agent.turn(message.volume_id):
        await agent.driver.remove(message.volume_id)


@handlers.on(messages.ResizeVolume)
async def resize_volume(agent: Agent, message: messages.ResizeVolume) -> None:
    async with agent.turn(message.volume_id):
        await agent.driver.resize(message.volume_id, message.size_gb)


@handlers.on(messages.EnsureSnapshot)
async def ensure_snapshot(agent: Agent, message: messages.EnsureSnapshot) -> None:
    async with agent.turn(message.volume_id):
        await agent.driver.ensure_snapshot(message.volume_id, message.snapshot_id)


@handlers.on(messages.EnsureNoSnapshot)
async def ensure_no_snapshot(agent: Agent, message: messages.EnsureNoSnapshot) -> None:
    async with agent.turn(message.volume_id):
        await agent.driver.remove_snapshot(message.volume_id, message.snapshot_id)


@handlers.on(messages.RevertVolume)
async def revert_volume(agent: Agent, message: messages.RevertVolume) -> None:
    async with agent.turn(message.volume_id):
        await agent.driver.revert(message.volume_id, message.snapshot_id)


@handlers.on(messages.ExportVolume)
async def export_volume(agent: Agent, message: messages.ExportVolume) -> Export:
    async with agent.turn(message.volume_id):
        found = await agent.driver.export(message.volume_id, message.options, message.key)
    if found is None:
        raise VolumeFailed(message.volume_id, "exported", "the driver serves nothing")
    return found


@handlers.on(messages.EnsureNoExport)
async def ensure_no_export(agent: Agent, message: messages.EnsureNoExport) -> None:
    async with agent.turn(message.volume_id):
        await agent.driver.export(message.volume_id, None)


@handlers.on(messages.FillFromImage)
async def fill_from_image(agent: Agent, message: messages.FillFromImage) -> None:
    async with agent.turn(message.volume_id):
        with agent.scratch_file() as path:
            with path.open("wb") as file:
                async for piece in agent.images.download(message.image_id):
                    await asyncio.to_thread(file.write, piece)
            await agent.driver.fill(message.volume_id, str(path), message.disk_format, message.key)


@handlers.on(messages.FillFromExport)
async def fill_from_export(agent: Agent, message: messages.FillFromExport) -> None:
    async with agent.turn(message.volume_id):
        await agent.driver.fill(message.volume_id, message.export.uri, "raw")


@handlers.on(messages.UploadVolume)
async def upload_volume(agent: Agent, message: messages.UploadVolume) -> None:
    """An image that has its content already keeps it."""
    image = await agent.images.get(message.image_id)
    if image.is_active:
        return
    async with agent.turn(message.volume_id):
        size = next((each.size_gb for each in await agent.driver.held() if each.id == message.volume_id), 0) * GIB
        with agent.scratch_file() as path:
            with path.open("wb") as file:
                await asyncio.to_thread(file.truncate, size)
                async for offset, piece in agent.driver.read(message.volume_id):
                    await asyncio.to_thread(_write_at, file, offset, piece)
            if message.disk_format == "raw":
                await agent.images.upload(message.image_id, _pieces(path), size=size)
                return
            with agent.scratch_file() as image_path:
                await qcow2.write_image(path, image_path, message.disk_format)
                await agent.images.upload(message.image_id, _pieces(image_path), size=image_path.stat().st_size)


def _write_at(file: BinaryIO, offset: int, piece: bytes) -> None:
    file.seek(offset)
    file.write(piece)


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, PIECE):
            yield piece


@handlers.on(messages.RenameVolume)
async def rename_volume(agent: Agent, message: messages.RenameVolume) -> int:
    async with agent.turn(message.volume_id, message.new_id):
        return await agent.driver.rename(message.volume_id, message.new_id)


@handlers.on(messages.ListVolumes)
async def list_volumes(agent: Agent, message: messages.ListVolumes) -> tuple[HeldVolume, ...]:
    return tuple(await agent.driver.held())


@handlers.on(messages.WriteBackup)
async def write_backup(agent: Agent, message: messages.WriteBackup) -> BackupWritten:
    async with agent.turn(message.volume_id, message.backup_id):
        content = agent.driver.read(message.volume_id, message.snapshot_id)
        return await agent.backups.write(message.backup_id, content, message.size_gb * GIB, message.parent_id)


@handlers.on(messages.RestoreBackup)
async def restore_backup(agent: Agent, message: messages.RestoreBackup) -> None:
    async with agent.turn(message.volume_id):
        with agent.scratch_file() as path:
            await agent.backups.restore(message.lineage, path)
            await agent.driver.fill(message.volume_id, str(path), "raw")


@handlers.on(messages.EnsureNoBackup)
async def ensure_no_backup(agent: Agent, message: messages.EnsureNoBackup) -> None:
    async with agent.turn(message.backup_id):
        await agent.backups.remove(message.backup_id)


@handlers.on(messages.ShowLogLevels)
async def show_log_levels(agent: Agent, message: messages.ShowLogLevels) -> dict[str, str]:
    return log.levels(message.prefix)


@handlers.on(messages.SetLogLevel)
async def set_log_level(agent: Agent, message: messages.SetLogLevel) -> None:
    log.set_level(message.prefix, message.level)
