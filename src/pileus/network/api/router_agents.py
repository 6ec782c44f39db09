"""/v2.0/agents/{id}/l3-routers: which hosts make routers real, and moving them by hand."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.policy import ADMIN, Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx
from pileus.network import agent_faults, faults
from pileus.network.api import agents
from pileus.network.api import routers as router_views
from pileus.network.api.agents import Agent
from pileus.network.api.routers import RouterView
from pileus.network.api.shapes import Id, app
from pileus.network.model import hosts, routers
from pileus.network.model.routers import Router
from pileus.network.reconcilers.slices import place_routers

routes = Routes()
NOWHERE = ""                 # the host of a router that was sent away; it stays so until it is given to a host


async def _agent(conn: Connection, l3_agent_id: str) -> Agent:
    return await agents.of_kind(conn, l3_agent_id, hosts.ROUTERS)


class RouterNamed(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    router_id: Id


AGENT = Target(_agent, missing=faults.AgentNotFound)
ROUTER = Target(routers.get, missing=faults.RouterNotFound)


@routes.get("/v2.0/agents/{l3_agent_id}/l3-routers", envelope="routers", target=AGENT,
            policy=Rule("get_l3-routers", ADMIN))
async def list_routers(ctx: Ctx, agent: Agent) -> Page[RouterView]:
    c = routers.routers.c
    async with ctx.db.read() as reader:
        here = await db.many(reader, sa.select(routers.routers).where(
            c.host == agent.host.name).order_by(c.id), Router)
        return Page(await router_views.views(ctx, reader, here))


@routes.post("/v2.0/agents/{l3_agent_id}/l3-routers", status=201, target=AGENT, policy=Rule("create_l3-router", ADMIN))
async def add_router(ctx: Ctx, agent: Agent, body: RouterNamed) -> dict[str, Any]:
    """Only a router that no host has can be given to one. Clients read an answer, though it says nothing."""
    async with ctx.db.write() as tx:
        if await hosts.switched_off(tx) & {agent.id, agent.host.id}:
            raise agent_faults.AgentOff(agent_id=agent.id)
        router = await routers.lock(tx, body.router_id)
        if router.host and router.host != agent.host.name:
            other = await hosts.find(tx, router.host)
            raise agent_faults.RouterHosted(
                router_id=router.id, agent_id=other.part(hosts.ROUTERS) if other else router.host)
        await _move(ctx, tx, router, agent.host.name)
    return {}


@routes.delete("/v2.0/agents/{l3_agent_id}/l3-routers/{router_id}", target=AGENT,
               policy=Rule("delete_l3-router", ADMIN))
async def remove_router(ctx: Ctx, agent: Agent, router_id: str) -> None:
    async with ctx.db.write() as tx:
        router = await routers.lock(tx, router_id)
        if router.host != agent.host.name:
            raise agent_faults.RouterNotHosted(router_id=router.id, agent_id=agent.id)
        await _move(ctx, tx, router, NOWHERE)


async def _move(ctx: Ctx, tx: Connection, router: Router, host: str) -> None:
    """Its floating IPs are down until a host reports them anew, which it does of what it has not reported yet."""
    c = routers.floating_ips.c
    await db.update(tx, routers.floating_ips.update().where(c.router_id == router.id).values(
        status="DOWN", generation=c.generation + 1))
    await db.update(tx, routers.routers.update().where(routers.routers.c.id == router.id).values(host=host))
    app(ctx).changed(tx)


@routes.get("/v2.0/routers/{router_id}/l3-agents", envelope="agents", target=ROUTER,
            policy=Rule("get_l3-agents", ADMIN))
async def list_agents(ctx: Ctx, router: Router) -> Page[dict[str, Any]]:
    """A router that still waits for its first host gets it now, so that what is told stays so."""
    if router.host is None:
        await place_routers(app(ctx))
        app(ctx).reconcilers.wake("slices")
    async with ctx.db.read() as reader:
        router = await routers.get(reader, router.id)
        found = [agent for agent in await agents.every(reader)
                 if agent.kind == hosts.ROUTERS and agent.host.name == router.host]
    return Page([agents.view(ctx, agent) for agent in found])
