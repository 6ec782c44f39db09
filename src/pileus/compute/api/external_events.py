"""POST /os-server-external-events: the network service tells what became of a server's ports."""

from __future__ import annotations

from typing import Literal

import msgspec

from pileus.compute import nics, versions
from pileus.compute.api.servers import action_of
from pileus.compute.model import servers
from pileus.compute.model.states import IN_LINE
from pileus.compute.sagas.attach_volume import GrowVolume
from pileus.kit import db
from pileus.kit.faults import BadRequest, NotFound
from pileus.kit.policy import ADMIN_OR_SERVICE, Rule
from pileus.kit.routes import Page, Routes
from pileus.kit.web import Ctx

routes = Routes()


# The others are of all versions. No host has accelerators or guests with a power switch of their own: their events are
# taken, as by a host that has none of what they name, and change nothing. Who gives a volume another image is asked.
SINCE = {"volume-extended": versions.EVENTS_FOR_ALL, "power-update": versions.POWER_EVENT,
         "accelerator-request-bound": versions.ACCELERATOR_EVENT, "volume-reimaged": versions.REIMAGED_EVENT}


class ExternalEvent(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Literal["network-changed", "network-vif-plugged", "network-vif-unplugged", "network-vif-deleted",
                  "volume-extended", "power-update", "accelerator-request-bound", "volume-reimaged"]
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
    if early := [event.name for event in body if event.name in SINCE and ctx.version < SINCE[event.name]]:
        raise BadRequest(reason=f"Invalid input for field/attribute name. Value: {early[0]}.")
    named = {event.server_uuid for event in body}
    async with ctx.db.read() as reader:
        alive = await servers.alive_among(reader, list(named))
    if named and not alive:
        raise NoSuchServers()
    await nics.refresh(ctx.app, sorted(alive))
    async with ctx.db.write() as tx:
        for server_id in alive:
            await ctx.sagas.poke(tx, server_id)
    codes = [await _code(ctx, event) if event.server_uuid in alive else 404 for event in body]
    if set(codes) != {200}:
        ctx.status = 207
    return Page([EventAnswer(name=event.name, server_uuid=event.server_uuid, tag=event.tag, code=code,
                             status=event.status if code in (200, 404) else "failed")
                 for event, code in zip(body, codes, strict=True)])


async def _code(ctx: Ctx, event: ExternalEvent) -> int:
    """Only of volumes that grew more is done than to look: 409 where that has to be told again later."""
    if event.name != "volume-extended" or event.tag is None:
        return 200
    try:
        async with ctx.db.write() as tx:
            server = await servers.get(tx, event.server_uuid)
            await servers.record_action(tx, action_of(ctx, server.id, server.project_id, "extend_volume"))
            await ctx.sagas.line_up(tx, GrowVolume(server_id=server.id, volume_id=event.tag), server.id, IN_LINE)
    except db.Taken:
        return 409
    return 200
