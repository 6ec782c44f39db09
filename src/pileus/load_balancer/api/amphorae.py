"""/v2.0/octavia/amphorae: machines that carry load balancers elsewhere. Here there are none, as tools are told."""

from __future__ import annotations

from typing import Any

from pileus.kit.routes import Page, Routes
from pileus.kit.web import Ctx
from pileus.load_balancer.api import policies
from pileus.load_balancer.api.lists import Query
from pileus.load_balancer.faults import Missing

routes = Routes()


@routes.get("/v2.0/octavia/amphorae", envelope="amphorae", policy=policies.admin("amphora", "get_all"))
async def list_amphorae(ctx: Ctx, query: Query) -> Page[dict[str, Any]]:
    return Page([])


@routes.get("/v2.0/octavia/amphorae/{amphora_id}", envelope="amphora", policy=policies.admin("amphora", "get_one"))
async def show_amphora(ctx: Ctx, amphora_id: str) -> dict[str, Any]:
    raise Missing(what="Amphora", id=amphora_id)
