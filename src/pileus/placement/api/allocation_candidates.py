"""/allocation_candidates"""

from __future__ import annotations

from starlette.responses import Response

from pileus.kit import policy
from pileus.kit.policy import Rule
from pileus.kit.routes import Routes
from pileus.kit.versions import since
from pileus.kit.web import Ctx
from pileus.placement import candidate_answers, candidates, queries, versions
from pileus.placement.api.root import json_answer
from pileus.placement.model import names

routes = Routes()


@routes.get("/allocation_candidates", window=since(versions.CANDIDATES),
            policy=Rule("placement:allocation_candidates:list", policy.ADMIN_OR_SERVICE))
async def list_candidates(ctx: Ctx, query: dict[str, list[str]]) -> Response:
    wanted = queries.wanted(query, ctx.version)
    if not all(names.is_standard("class", name) for name in wanted.classes()) or wanted.trait_names():
        async with ctx.db.read() as reader:
            await names.must_know_classes(reader, wanted.classes())
            await names.must_know_traits(reader, wanted.trait_names())
    columns = ctx.app.columns
    await columns.refresh()
    found = candidates.find(columns, wanted, at_most=ctx.app.config.max_candidates, chance=ctx.app.chance)
    return json_answer(candidate_answers.encode(columns, wanted, found, ctx.version))
