"""/v2.0/agents/{id}/dhcp-networks: which hosts serve DHCP of a network to their guests; all do unless told not to."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.policy import ADMIN, Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx
from pileus.network import faults
from pileus.network.api import agents
from pileus.network.api import networks as network_views
from pileus.network.api.networks import NetworkView
from pileus.network.api.shapes import Id, app
from pileus.network.model import hosts, networks
from pileus.network.model.hosts import Host
from pileus.network.model.networks import Network, exclusions

routes = Routes()


async def _host(conn: Connection, agent_id: str) -> Host:
    return (await agents.of_kind(conn, agent_id, hosts.DHCP)).host


async def _excluded(conn: Connection, host: str) -> set[str]:
    return set(await db.scalars(conn, sa.select(exclusions.c.network_id).where(exclusions.c.host == host)))


class NetworkNamed(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    network_id: Id


AGENT = Target(_host, missing=faults.AgentNotFound)


@routes.get("/v2.0/agents/{agent_id}/dhcp-networks", envelope="networks", target=AGENT,
            policy=Rule("get_dhcp-networks", ADMIN))
async def list_networks(ctx: Ctx, host: Host) -> Page[NetworkView]:
    c = networks.networks.c
    async with ctx.db.read() as reader:
        left_out = sa.select(exclusions.c.network_id).where(exclusions.c.host == host.name)
        served = await db.many(reader, sa.select(networks.networks).where(
            ~c.external, c.id.not_in(left_out)).order_by(c.id), Network)
        return Page(await network_views.views(ctx, reader, served))


@routes.post("/v2.0/agents/{agent_id}/dhcp-networks", status=201, target=AGENT,
             policy=Rule("create_dhcp-network", ADMIN))
async def add_network(ctx: Ctx, host: Host, body: NetworkNamed) -> None:
    async with ctx.db.write() as tx:
        await networks.get(tx, body.network_id)
        gone = await db.update(tx, exclusions.delete().where(
            exclusions.c.network_id == body.network_id, exclusions.c.host == host.name))
        if not gone:
            raise faults.DhcpAlready(network_id=body.network_id, agent_id=host.part(hosts.DHCP))
        app(ctx).changed(tx)


@routes.delete("/v2.0/agents/{agent_id}/dhcp-networks/{network_id}", target=AGENT,
               policy=Rule("delete_dhcp-network", ADMIN))
async def remove_network(ctx: Ctx, host: Host, network_id: str) -> None:
    async with ctx.db.write() as tx:
        await networks.get(tx, network_id)
        if network_id in await _excluded(tx, host.name):
            raise faults.DhcpNot(network_id=network_id, agent_id=host.part(hosts.DHCP))
        try:
            await tx.execute(exclusions.insert().values(network_id=network_id, host=host.name))
        except db.Taken as error:
            raise db.Collision(str(error)) from error
        app(ctx).changed(tx)


NETWORK = Target(networks.get, missing=faults.NetworkNotFound)


@routes.get("/v2.0/networks/{network_id}/dhcp-agents", envelope="agents", target=NETWORK,
            policy=Rule("get_dhcp-agents", ADMIN))
async def list_agents(ctx: Ctx, network: Network) -> Page[dict[str, Any]]:
    async with ctx.db.read() as reader:
        left_out = set(await db.scalars(reader, sa.select(exclusions.c.host).where(
            exclusions.c.network_id == network.id)))
        serving = [agent for agent in await agents.every(reader) if agent.kind == hosts.DHCP
                   and agent.host.name not in left_out and not network.external]
    return Page([agents.view(ctx, agent) for agent in serving])
