"""A dry run of the scheduler: where a server would go, and of every other host why not."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from pileus.compute import scheduling
from pileus.compute.api.hints import must_be_sound
from pileus.compute.api.server_create import flavor_of, image_of
from pileus.compute.api.server_groups import group_of_hint
from pileus.compute.model.servers import Server
from pileus.compute.scheduler.choice import Judged
from pileus.kit.ids import new_uuid
from pileus.kit.policy import ADMIN, Rule
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx

routes = Routes()
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class Question(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What the server would be made of. Nothing is made, and nothing is counted against a quota."""

    flavor: Name                               # ids
    image: Name | None = None
    hints: dict[str, Any] = {}
    zone: Name | None = None
    host: Name | None = None
    project_id: Name | None = None             # of the server; else the caller's


class Plan(msgspec.Struct, kw_only=True):
    hosts: list[Judged]


@routes.post("/pileus/schedule", status=200, policy=Rule("pileus:schedule:explain", ADMIN))
async def explain_schedule(ctx: Ctx, body: Question) -> Plan:
    """The hosts that would do come first, the best before the others."""
    must_be_sound(body.hints)
    flavor = await flavor_of(ctx, body.flavor)
    image = await image_of(ctx, body.image, flavor) if body.image else None
    async with ctx.db.read() as reader:
        group_id = await group_of_hint(reader, ctx, body.hints)
    now = ctx.clock()
    server = Server(
        id=new_uuid(), project_id=body.project_id or ctx.caller.project_id or "", user_id=ctx.caller.user_id,
        name="dry run", hostname="", flavor_id=flavor.id, vcpus=flavor.vcpus, memory_mb=flavor.memory_mb,
        flavor=flavor, image_id=image.id if image else None, image=image, zone=body.zone, hints=body.hints or None,
        group_id=group_id, reservation_id="", created_at=now, updated_at=now)
    return Plan(hosts=await scheduling.explain(ctx.app, server, body.host))
