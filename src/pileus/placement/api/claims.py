"""/pileus/claims: who has something of which trees of providers, all of them; for services that look for what is left
over by nobody they know of."""

from __future__ import annotations

from typing import Annotated

import msgspec

from pileus.kit import policy
from pileus.kit.policy import Rule
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx
from pileus.placement.model import allocations

MOST = 10_000


class ClaimsQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    marker: Annotated[str, msgspec.Meta(max_length=36)] = ""          # a consumer: those behind it
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST)] = MOST


class ClaimsView(msgspec.Struct, kw_only=True):
    """By consumer, in the order of their ids, the roots of the trees that it has something of."""

    claims: dict[str, list[str]]


routes = Routes()


@routes.get("/pileus/claims", policy=Rule("pileus:claims:list", policy.ADMIN_OR_SERVICE))
async def list_claims(ctx: Ctx, query: ClaimsQuery) -> ClaimsView:
    async with ctx.db.read() as reader:
        return ClaimsView(claims=await allocations.roots_by_consumer(reader, query.marker, query.limit))
