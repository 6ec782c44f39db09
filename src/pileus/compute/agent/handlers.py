"""What a compute host does when told to. Every message states a wanted end, so repeats are harmless."""

from __future__ import annotations

import logging

from pileus.compute.agent.agent import Agent
from pileus.compute.drivers.base import Diagnostics, GuestSeen
from pileus.compute.messages import (
    AdjustGuest,
    EnsureDisks,
    EnsureGuest,
    EnsureImage,
    EnsureNoGuest,
    FetchGuest,
    FindConsole,
    InterruptGuest,
    ListFiles,
    ListGuests,
    PowerGuest,
    ReadConsole,
    ReadDiagnostics,
    ReadFile,
    RebootGuest,
    RunGuest,
    SaveImage,
    SetPassword,
)
from pileus.kit.bus import Handlers

log = logging.getLogger(__name__)
PIECE_BYTES = 4 << 20            # of a disk on its way to another host
handlers = Handlers()


@handlers.on(EnsureImage)
async def ensure_image(agent: Agent, message: EnsureImage) -> None:
    await agent.fetch(message.image)


@handlers.on(EnsureDisks)
async def ensure_disks(agent: Agent, message: EnsureDisks) -> None:
    spec = await agent.with_image(message.spec)
    async with agent.turn(spec.id):
        await agent.driver.prepare(spec)


@handlers.on(EnsureGuest)
async def ensure_guest(agent: Agent, message: EnsureGuest) -> GuestSeen:
    spec = await agent.with_image(message.spec)
    async with agent.turn(spec.id):
        seen = await agent.driver.ensure(spec)
    log.info("guest is %s", seen.power, extra={"server": seen.id, "host": agent.host})
    return seen


@handlers.on(RunGuest)
async def run_guest(agent: Agent, message: RunGuest) -> GuestSeen:
    """Also one that the host lost meanwhile, by a restart of its own: it has all it needs to start again."""
    async with agent.turn(message.guest_id):
        return await agent.driver.power(message.guest_id, "on")


@handlers.on(EnsureNoGuest)
async def ensure_no_guest(agent: Agent, message: EnsureNoGuest) -> None:
    async with agent.turn(message.guest_id):
        await agent.driver.remove(message.guest_id)


@handlers.on(PowerGuest)
async def power_guest(agent: Agent, message: PowerGuest) -> GuestSeen:
    async with agent.turn(message.guest_id):
        return await agent.driver.power(message.guest_id, message.wanted, soft_seconds=message.soft_seconds)


@handlers.on(RebootGuest)
async def reboot_guest(agent: Agent, message: RebootGuest) -> GuestSeen:
    async with agent.turn(message.guest_id):
        return await agent.driver.reboot(message.guest_id, hard=message.hard)


@handlers.on(ListGuests)
async def list_guests(agent: Agent, message: ListGuests) -> tuple[GuestSeen, ...]:
    return tuple(await agent.driver.guests())


@handlers.on(ReadConsole)
async def read_console(agent: Agent, message: ReadConsole) -> bytes:
    return await agent.driver.console_log(message.guest_id, message.lines)


@handlers.on(AdjustGuest)
async def adjust_guest(agent: Agent, message: AdjustGuest) -> GuestSeen:
    async with agent.turn(message.spec.id):
        return await agent.driver.adjust(message.spec)


@handlers.on(SaveImage)
async def save_image(agent: Agent, message: SaveImage) -> None:
    await agent.save(message.guest_id, message.image_id)


@handlers.on(FetchGuest)
async def fetch_guest(agent: Agent, message: FetchGuest) -> None:
    """From the other host's agent, over the bus. Begun anew when it is said again."""
    guest_id = message.spec.id
    async with agent.turn(guest_id):
        files = await agent.bus.call(ListFiles(guest_id=guest_id), host=message.source)
        for name, size in files.items():
            for offset in range(0, max(size, 1), PIECE_BYTES):
                piece = await agent.bus.call(ReadFile(
                    guest_id=guest_id, name=name, offset=offset, length=PIECE_BYTES), host=message.source)
                await agent.driver.receive(message.spec, name, offset, piece)


@handlers.on(ListFiles)
async def list_files(agent: Agent, message: ListFiles) -> dict[str, int]:
    return await agent.driver.files(message.guest_id)


@handlers.on(ReadFile)
async def read_file(agent: Agent, message: ReadFile) -> bytes:
    return await agent.driver.read(message.guest_id, message.name, message.offset, message.length)


@handlers.on(SetPassword)
async def set_password(agent: Agent, message: SetPassword) -> None:
    async with agent.turn(message.guest_id):
        await agent.driver.set_password(message.guest_id, message.user, message.password)


@handlers.on(InterruptGuest)
async def interrupt_guest(agent: Agent, message: InterruptGuest) -> None:
    async with agent.turn(message.guest_id):
        await agent.driver.interrupt(message.guest_id)


@handlers.on(ReadDiagnostics)
async def read_diagnostics(agent: Agent, message: ReadDiagnostics) -> Diagnostics:
    return await agent.driver.diagnostics(message.guest_id)


@handlers.on(FindConsole)
async def find_console(agent: Agent, message: FindConsole) -> str:
    return str(await agent.driver.console(message.guest_id, message.kind))
