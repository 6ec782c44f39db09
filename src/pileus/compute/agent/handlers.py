"""What a compute host does when told to. Every message states a wanted end, so repeats are harmless."""

from __future__ import annotations

import logging

from pileus.compute.agent.agent import Agent
from pileus.compute.drivers.base import GuestSeen
from pileus.compute.messages import (
    EnsureDisks,
    EnsureGuest,
    EnsureImage,
    EnsureNoGuest,
    EnsureVolumes,
    ListGuests,
    PowerGuest,
    ReadConsole,
    RebootGuest,
    RunGuest,
)
from pileus.kit.bus import Handlers

log = logging.getLogger(__name__)
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


@handlers.on(EnsureVolumes)
async def ensure_volumes(agent: Agent, message: EnsureVolumes) -> None:
    async with agent.turn(message.guest_id):
        await agent.driver.volumes(message.guest_id, message.volumes)


@handlers.on(ListGuests)
async def list_guests(agent: Agent, message: ListGuests) -> tuple[GuestSeen, ...]:
    return tuple(await agent.driver.guests())


@handlers.on(ReadConsole)
async def read_console(agent: Agent, message: ReadConsole) -> bytes:
    return await agent.driver.console_log(message.guest_id, message.lines)
