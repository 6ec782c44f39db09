"""/v2.0/agents and /v2.0/availability_zones: the hosts that make networks real."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID, uuid5

import msgspec

from pileus.kit.db import Connection
from pileus.kit.faults import BadRequest
from pileus.kit.policy import ADMIN, ANYONE, Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx
from pileus.network import faults
from pileus.network.api.listing import Query
from pileus.network.api.shapes import app
from pileus.network.model import hosts
from pileus.network.model.hosts import Host
from pileus.network.reconcilers.slices import is_alive

routes = Routes()
KIND, DHCP_KIND = "Pileus network agent", "DHCP agent"


class Agent(msgspec.Struct, frozen=True):
    """One of the two that each host shows: its agent as a whole, and what of it serves DHCP."""

    host: Host
    dhcp: bool = False


def dhcp_id(host: Host) -> str:
    return str(uuid5(UUID(host.id), "dhcp"))


async def _agent(conn: Connection, agent_id: str) -> Agent:
    for host in await hosts.every(conn):
        if agent_id in (host.id, dhcp_id(host)):
            return Agent(host, agent_id != host.id)
    raise faults.AgentNotFound(agent_id=agent_id)


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))


def view(ctx: Ctx, row: Host, *, dhcp: bool = False) -> dict[str, Any]:
    return {"id": dhcp_id(row) if dhcp else row.id, "agent_type": DHCP_KIND if dhcp else KIND,
            "binary": "pileus-node", "host": row.name, "topic": "network.agent",
            "availability_zone": "nova", "admin_state_up": True, "alive": is_alive(app(ctx), row),
            "created_at": _moment(row.created_at), "started_at": _moment(row.started_at),
            "heartbeat_timestamp": _moment(row.seen_at), "description": row.error or None,
            "resources_synced": row.confirmed == row.seq, "resource_versions": {},
            "configurations": {"engine": app(ctx).config.engine, "tunneling_ip": row.underlay_ip}}


AGENT = Target(_agent, missing=faults.AgentNotFound)


@routes.get("/v2.0/agents", envelope="agents", policy=Rule("get_agent", ADMIN), check=False)
async def list_agents(ctx: Ctx, query: Query) -> Page[dict[str, Any]]:
    """Whoever may not see agents sees none, and is not refused."""
    if not ctx.allows("get_agent"):
        return Page([])
    async with ctx.db.read() as reader:
        found = [view(ctx, row, dhcp=dhcp) for row in await hosts.every(reader) for dhcp in (False, True)]
    for name in ("id", "agent_type", "binary", "host", "topic", "availability_zone", "alive", "admin_state_up"):
        if name in query:
            wanted = [value.lower() for value in query[name]]
            found = [each for each in found if str(each[name]).lower() in wanted]
    return Page(found)


@routes.get("/v2.0/agents/{agent_id}", envelope="agent", target=AGENT, policy=Rule("get_agent", ADMIN))
async def show_agent(ctx: Ctx, agent: Agent) -> dict[str, Any]:
    return view(ctx, agent.host, dhcp=agent.dhcp)


@routes.delete("/v2.0/agents/{agent_id}", target=AGENT, policy=Rule("delete_agent", ADMIN))
async def delete_agent(ctx: Ctx, agent: Agent) -> None:
    """Forget a host that will not come back."""
    host = agent.host
    if is_alive(app(ctx), host):
        raise BadRequest(reason=f"Agent {host.id} is alive: stop it before it is deleted")
    async with ctx.db.write() as tx:
        await tx.execute(hosts.hosts.delete().where(hosts.hosts.c.name == host.name))
        app(ctx).changed(tx)


@routes.get("/v2.0/availability_zones", envelope="availability_zones", policy=Rule("get_availability_zone", ANYONE))
async def list_zones(ctx: Ctx) -> Page[dict[str, str]]:
    return Page([{"name": "nova", "resource": resource, "state": "available"} for resource in ("network", "router")])
