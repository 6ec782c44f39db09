"""For validators in other processes: what changed since they last asked."""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.identity import policies
from pileus.identity.model import revocations
from pileus.kit.policy import Rule
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx

routes = Routes()


class ChangesQuery(msgspec.Struct, kw_only=True):
    after: int = -1


@routes.get("/v3/pileus/changes", policy=Rule("identity:list_changes", policies.SERVICE))
async def list_changes(ctx: Ctx, query: ChangesQuery) -> dict[str, Any]:
    """The subjects changed behind `after`, and the position to ask from next; without one, only the position."""
    async with ctx.db.read() as reader:
        if query.after < 0:
            return {"subjects": [], "position": await revocations.position(reader)}
        found = await revocations.since(reader, query.after)
    return {"subjects": [change.subject for change in found], "position": found[-1].seq if found else query.after}
