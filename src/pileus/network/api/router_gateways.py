"""/v2.0/routers/{router_id}/{add,update,remove}_external_gateways: several gateways of a router."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from pileus.kit.policy import Rule
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx
from pileus.network import faults
from pileus.network.api.policies import MEMBER
from pileus.network.api.routers import ROUTER, RouterView, becomes, may_ask, must_see, settled_proxy, views
from pileus.network.api.shapes import app, check_revision
from pileus.network.gateways import Change, GatewayAsked
from pileus.network.model import base, routers
from pileus.network.model.routers import Router

routes = Routes()


class GatewaysAsked(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    external_gateways: list[GatewayAsked] | UnsetType = UNSET


async def _change(ctx: Ctx, router: Router, body: GatewaysAsked, rule: str | None,
                  how: Callable[[Change, list[GatewayAsked]], Awaitable[dict[str, Any]]]) -> RouterView:
    """The router is held meanwhile, so that changes of several clients add up."""
    check_revision(ctx, router)
    asked = [] if body.external_gateways is UNSET else body.external_gateways
    for each in asked:
        if each.network_id is None:
            raise faults.InvalidInput(reason="each of external_gateways names a network_id")
        if rule is not None:
            may_ask(ctx, each, f"{rule}:external_gateways", {"project_id": router.project_id})
    now = ctx.clock()
    async with ctx.db.write() as tx:
        router = row = await routers.lock(tx, router.id)
        if body.external_gateways is not UNSET:
            for each in asked:
                await must_see(ctx, tx, each)
            values = await how(Change(tx, router, app(ctx).config.mac_prefix, now), asked)
            values |= await settled_proxy(tx, router, becomes(router, values))
            row = await base.change(tx, routers.routers, router, now, **values)
            app(ctx).changed(tx)
        return (await views(ctx, tx, [row]))[0]


@routes.put("/v2.0/routers/{router_id}/add_external_gateways", envelope="router", target=ROUTER,
            policy=Rule("add_external_gateways", MEMBER))
async def add_gateways(ctx: Ctx, router: Router, body: GatewaysAsked) -> RouterView:
    return await _change(ctx, router, body, "add_external_gateways", Change.add)


@routes.put("/v2.0/routers/{router_id}/update_external_gateways", envelope="router", target=ROUTER,
            policy=Rule("update_external_gateways", MEMBER))
async def update_gateways(ctx: Ctx, router: Router, body: GatewaysAsked) -> RouterView:
    """Afterwards it has these and no others, the first first; a list of none takes all away."""
    return await _change(ctx, router, body, "update_external_gateways", Change.replace)


@routes.put("/v2.0/routers/{router_id}/remove_external_gateways", envelope="router", target=ROUTER,
            policy=Rule("remove_external_gateways", MEMBER))
async def remove_gateways(ctx: Ctx, router: Router, body: GatewaysAsked) -> RouterView:
    """Anyone may name the addresses of what is to go."""
    return await _change(ctx, router, body, None, Change.remove)
