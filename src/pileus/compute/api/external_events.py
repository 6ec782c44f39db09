"""POST /os-server-external-events: the network service tells what became of a server's ports."""

from __future__ import annotations

from typing import Literal

import msgspec

from pileus.compute import nics
from pileus.compute.model import servers
from pileus.kit.faults import NotFound
from pileus.kit.policy import ADMIN_OR_SERVICE, Rule
from pileus.kit.routes import Page, Routes
from pileus.kit.web import Ctx

routes = Routes()


class ExternalEvent(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Literal["network-changed", "network-vif-plugged", "network-vif-unplugged", "network-vif-deleted"]
    server_uuid: str
    tag: str | None = None
    status: Literal["failed", "completed", "in-progress"] = "completed"


class EventAnswer(msgspec.Struct, kw_only=True, omit_defaults=True):
    name: str
    server_uuid: str
    status: str
    code: int
    tag: str | None = None


class NoSuchServers(NotFound):
    message = "No instances found for any event"


@routes.post("/v2.1/os-server-external-events", envelope="events",
             policy=Rule("os_compute_api:os-server-external-events:create", ADMIN_OR_SERVICE))
async def take_events(ctx: Ctx, body: list[ExternalEvent]) -> Page[EventAnswer]:
    """Wake the sagas that wait for a port, and read anew what the servers' ports are."""
    named = {event.server_uuid for event in body}
    async with ctx.db.read() as reader:
        alive = await servers.alive_among(reader, list(named))
    if named and not alive:
        raise NoSuchServers()
    await nics.refresh(ctx.app, sorted(alive))
    async with ctx.db.write() as tx:
        for server_id in alive:
            await ctx.sagas.poke(tx, server_id)
    if alive != named:
        ctx.status = 207
    return Page([EventAnswer(name=event.name, server_uuid=event.server_uuid, tag=event.tag, status=event.status,
                             code=200 if event.server_uuid in alive else 404) for event in body])
