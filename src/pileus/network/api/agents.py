"""/v2.0/agents and /v2.0/availability_zones: the hosts that make networks real."""

from __future__ import annotations

import time
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from pileus.kit.db import Connection
from pileus.kit.faults import BadRequest
from pileus.kit.policy import ADMIN, ANYONE, Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx
from pileus.network import faults
from pileus.network.api.listing import Query
from pileus.network.api.shapes import MaybeBool, app
from pileus.network.model import hosts
from pileus.network.model.hosts import DHCP, ROUTERS, Host, Said
from pileus.network.reconcilers.slices import is_alive

routes = Routes()
WHOLE = ""
KINDS = {WHOLE: ("Pileus network agent", "network.agent"), DHCP: ("DHCP agent", "dhcp_agent"),
         ROUTERS: ("L3 agent", "l3_agent")}
SHOWN = ("id", "agent_type", "binary", "host", "topic", "availability_zone", "alive", "admin_state_up", "description",
         "created_at", "started_at", "heartbeat_timestamp")
ZONES = tuple({"name": "nova", "resource": resource, "state": "available"} for resource in ("network", "router"))


class Agent(msgspec.Struct, frozen=True):
    """One of the three that each host shows: its agent as a whole, what of it serves DHCP, and what makes routers."""

    host: Host
    kind: str = WHOLE
    said: Said | None = None

    @property
    def id(self) -> str:
        return self.host.part(self.kind) if self.kind else self.host.id


class AgentUpdate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    admin_state_up: MaybeBool = UNSET
    description: Annotated[str, msgspec.Meta(max_length=255)] | None | UnsetType = UNSET


async def every(conn: Connection) -> list[Agent]:
    said = await hosts.said(conn)
    found = [Agent(host, kind) for host in await hosts.every(conn) for kind in KINDS]
    return [Agent(agent.host, agent.kind, said.get(agent.id)) for agent in found]


async def of_kind(conn: Connection, agent_id: str, kind: str) -> Agent:
    found = next((agent for agent in await every(conn) if agent.id == agent_id and agent.kind == kind), None)
    if found is None:
        raise faults.AgentNotFound(agent_id=agent_id)
    return found


async def _agent(conn: Connection, agent_id: str) -> Agent:
    found = next((agent for agent in await every(conn) if agent.id == agent_id), None)
    if found is None:
        raise faults.AgentNotFound(agent_id=agent_id)
    return found


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(seconds))


def view(ctx: Ctx, agent: Agent) -> dict[str, Any]:
    row, (kind, topic) = agent.host, KINDS[agent.kind]
    said = agent.said or Said(id=agent.id)
    configurations: dict[str, Any] = {"engine": app(ctx).config.engine, "tunneling_ip": row.underlay_ip}
    if agent.kind == ROUTERS:
        configurations["agent_mode"] = "legacy"
    return {"id": agent.id, "agent_type": kind, "binary": "pileus-node", "host": row.name, "topic": topic,
            "availability_zone": "nova", "admin_state_up": said.admin_state_up, "alive": is_alive(app(ctx), row),
            "created_at": _moment(row.created_at), "started_at": _moment(row.started_at),
            "heartbeat_timestamp": _moment(row.seen_at), "description": said.description or row.error or None,
            "resources_synced": None, "resource_versions": {}, "configurations": configurations}


AGENT = Target(_agent, missing=faults.AgentNotFound)


@routes.get("/v2.0/agents", envelope="agents", policy=Rule("get_agent", ADMIN), check=False)
async def list_agents(ctx: Ctx, query: Query) -> Page[dict[str, Any]]:
    """Whoever may not see agents sees none, and is not refused."""
    if not ctx.allows("get_agent"):
        return Page([])
    async with ctx.db.read() as reader:
        found = [view(ctx, agent) for agent in await every(reader)]
    for name in SHOWN:
        if name in query:
            wanted = [value.lower() for value in query[name]]
            found = [each for each in found if str(each[name]).lower() in wanted]
    return Page(_sorted(found, query))


def _sorted(found: list[dict[str, Any]], query: Query) -> list[dict[str, Any]]:
    keys, directions = query.get("sort_key", []), query.get("sort_dir", [])
    if unknown := [key for key in keys if key not in SHOWN]:
        raise faults.InvalidSort(names=", ".join(unknown))
    if directions and len(directions) != len(keys):
        raise BadRequest(reason="The number of sort_keys and sort_dirs must be same")
    for key, direction in reversed(list(zip(keys, directions or ["asc"] * len(keys), strict=True))):
        found = sorted(found, key=lambda each: str(each[key] or ""), reverse=direction == "desc")
    return found


@routes.get("/v2.0/agents/{agent_id}", envelope="agent", target=AGENT, policy=Rule("get_agent", ADMIN))
async def show_agent(ctx: Ctx, agent: Agent) -> dict[str, Any]:
    return view(ctx, agent)


@routes.put("/v2.0/agents/{agent_id}", envelope="agent", target=AGENT, policy=Rule("update_agent", ADMIN))
async def update_agent(ctx: Ctx, agent: Agent, body: AgentUpdate) -> dict[str, Any]:
    """One that is down serves no DHCP, or is given no routers: those it has go elsewhere. The agent of a host as a
    whole speaks for both."""
    said = agent.said or Said(id=agent.id)
    said = Said(id=agent.id,
                admin_state_up=said.admin_state_up if body.admin_state_up is UNSET else body.admin_state_up,
                description=said.description if body.description is UNSET else body.description or "")
    async with ctx.db.write() as tx:
        await hosts.say(tx, said)
        app(ctx).changed(tx)
    return view(ctx, Agent(agent.host, agent.kind, said))


@routes.delete("/v2.0/agents/{agent_id}", target=AGENT, policy=Rule("delete_agent", ADMIN))
async def delete_agent(ctx: Ctx, agent: Agent) -> None:
    """Forget a host that will not come back."""
    host = agent.host
    if is_alive(app(ctx), host):
        raise BadRequest(reason=f"Agent {agent.id} is alive: stop it before it is deleted")
    async with ctx.db.write() as tx:
        ids = [Agent(host, kind).id for kind in KINDS]
        await tx.execute(hosts.agents.delete().where(hosts.agents.c.id.in_(ids)))
        await tx.execute(hosts.hosts.delete().where(hosts.hosts.c.name == host.name))
        app(ctx).changed(tx)


@routes.get("/v2.0/availability_zones", envelope="availability_zones", policy=Rule("get_availability_zone", ANYONE))
async def list_zones(ctx: Ctx, query: Query) -> Page[dict[str, str]]:
    wanted = {name: values for name, values in query.items() if name != "fields"}
    if unknown := [name for name in wanted if name not in ZONES[0]]:
        raise faults.InvalidFilter(names=unknown)
    return Page([zone for zone in ZONES if all(zone[name] in values for name, values in wanted.items())])
