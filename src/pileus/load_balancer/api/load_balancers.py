"""/v2.0/lbaas/loadbalancers"""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa
from msgspec import UNSET, UnsetType

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx
from pileus.load_balancer.api import graphs, lists, policies, vips
from pileus.load_balancer.api.graphs import Graph
from pileus.load_balancer.api.listeners import Statistics
from pileus.load_balancer.api.lists import Listing, Query
from pileus.load_balancer.api.shapes import (
    BASE,
    PROVIDER,
    PROVIDERS,
    DescribedChange,
    Id,
    PartView,
    Ref,
    Text,
    add,
    begin,
    changed,
    created,
    hidden_from_nobody,
    of_part,
    owner,
    same,
    start,
)
from pileus.load_balancer.api.vips import Asked, MoreVip
from pileus.load_balancer.faults import Immutable, Invalid, Missing, NoProvider, NoSuch
from pileus.load_balancer.model import rows, tables
from pileus.load_balancer.model.profiles import Flavor, Zone
from pileus.load_balancer.model.rows import Listener, LoadBalancer, Pool, Provisioning
from pileus.load_balancer.sagas.apply_changes import ApplyChanges
from pileus.load_balancer.sagas.delete_load_balancer import DeleteLoadBalancer

routes = Routes()
LOADBALANCERS = Listing("loadbalancers", tables.load_balancers, LoadBalancer)
PATH = f"{BASE}/loadbalancers"


class BalancerCreate(Graph, kw_only=True, forbid_unknown_fields=True):
    project_id: Id | None = None
    tenant_id: Id | None = None
    vip_address: str | None = None
    vip_port_id: Id | None = None
    vip_subnet_id: Id | None = None
    vip_network_id: Id | None = None
    vip_qos_policy_id: Id | None = None
    vip_sg_ids: list[Id] | None = None
    additional_vips: list[MoreVip] | None = None
    provider: str | None = None
    flavor_id: Id | None = None
    availability_zone: Text | None = None


class BalancerUpdate(DescribedChange, kw_only=True, forbid_unknown_fields=True):
    vip_qos_policy_id: Id | None | UnsetType = UNSET
    vip_sg_ids: list[Id] | None | UnsetType = UNSET


class BalancerView(PartView, kw_only=True):
    description: str
    vip_address: str
    vip_port_id: str
    vip_subnet_id: str | None
    vip_network_id: str
    vip_qos_policy_id: str | None
    vip_vnic_type: str
    vip_sg_ids: list[str]
    additional_vips: list[dict[str, str]]
    provider: str
    flavor_id: str | None
    availability_zone: str | None
    listeners: list[Ref]
    pools: list[Ref]


async def views(conn: Connection, found: list[LoadBalancer]) -> list[BalancerView]:
    ids = [row.id for row in found]
    listeners = await rows.of(conn, Listener, "load_balancer_id", ids)
    pools = await rows.of(conn, Pool, "load_balancer_id", ids)
    return [BalancerView(**same(row, BalancerView) | of_part(row) | {
        "description": row.description or "",
        "listeners": [Ref(part.id) for part in listeners if part.load_balancer_id == row.id],
        "pools": [Ref(part.id) for part in pools if part.load_balancer_id == row.id]}) for row in found]


async def get_balancer(conn: Connection, loadbalancer_id: str) -> LoadBalancer:
    return await rows.get(conn, LoadBalancer, loadbalancer_id)


BALANCER = Target(get_balancer, missing=Missing, hidden=hidden_from_nobody)


@routes.get(PATH, envelope="loadbalancers", policy=policies.listed("loadbalancer"))
async def list_balancers(ctx: Ctx, query: Query) -> Page[BalancerView]:
    async with ctx.db.read() as reader:
        found = await lists.fetch(ctx, reader, LOADBALANCERS, query)
        return Page(await views(reader, found.rows), extra=found.links)


@routes.get(f"{PATH}/{{loadbalancer_id}}", envelope="loadbalancer", target=BALANCER,
            policy=policies.read("loadbalancer"))
async def show_balancer(ctx: Ctx, balancer: LoadBalancer) -> BalancerView:
    async with ctx.db.read() as reader:
        return (await views(reader, [balancer]))[0]


# -- making ---------------------------------------------------------------------------------


@routes.post(PATH, envelope="loadbalancer", status=201, policy=policies.write("loadbalancer", "post"))
async def create_balancer(ctx: Ctx, body: BalancerCreate) -> dict[str, Any]:
    """Alone, or with listeners, pools and all that is in them."""
    project_id, balancer_id = owner(ctx, body.project_id or body.tenant_id), new_uuid()
    provider = await _provider(ctx, body)
    networks = await graphs.networks_of(ctx, body)
    made = await vips.make(ctx, Asked(
        address=body.vip_address, port_id=body.vip_port_id, subnet_id=body.vip_subnet_id,
        network_id=body.vip_network_id, more=body.additional_vips or (), groups=body.vip_sg_ids or [],
        qos_policy_id=body.vip_qos_policy_id), balancer_id, project_id)
    row = LoadBalancer(
        id=balancer_id, **created(ctx, body, project_id), description=body.description or "", provider=provider,
        flavor_id=body.flavor_id, availability_zone=body.availability_zone, vip_sg_ids=body.vip_sg_ids or [],
        vip_qos_policy_id=body.vip_qos_policy_id, **made)
    async with vips.kept(ctx, made), ctx.db.write() as tx:
        await add(ctx, tx, row)
        await graphs.add(ctx, tx, body, row, networks)
        await start(ctx, tx, ApplyChanges(balancer_id=row.id), row.id)
        view = msgspec.to_builtins((await views(tx, [row]))[0])
        return view | await graphs.shown(tx, row) if body.is_more else view


async def _provider(ctx: Ctx, body: BalancerCreate) -> str:
    """Raises NoProvider, and NoSuch for a flavor or a zone that may not be used."""
    if body.provider not in (None, *PROVIDERS):
        raise NoProvider(provider=body.provider)
    async with ctx.db.read() as reader:
        if body.flavor_id is not None:
            flavor = await db.one(reader, sa.select(tables.flavors).where(
                tables.flavors.c.id == body.flavor_id), Flavor)
            if flavor is None:
                raise NoSuch(what="Flavor", id=body.flavor_id)
            if not flavor.enabled:
                raise Invalid(reason=f"The selected flavor is not allowed in this deployment: {body.flavor_id}")
        if body.availability_zone is not None:
            zone = await db.one(reader, sa.select(tables.zones).where(
                tables.zones.c.name == body.availability_zone), Zone)
            if zone is None:
                raise NoSuch(what="Availability Zone", id=body.availability_zone)
            if not zone.enabled:
                raise Invalid(reason="The selected availability zone is not allowed in this deployment: "
                                     f"{body.availability_zone}")
    return body.provider or PROVIDER


# -- changing -------------------------------------------------------------------------------


@routes.put(f"{PATH}/{{loadbalancer_id}}", envelope="loadbalancer", target=BALANCER,
            policy=policies.write("loadbalancer", "put"))
async def update_balancer(ctx: Ctx, balancer: LoadBalancer, body: BalancerUpdate) -> BalancerView:
    values = changed(body)
    if balancer.provisioning_status != Provisioning.ACTIVE:
        raise Immutable(what=LoadBalancer.title, id=balancer.id)
    of_port = {}
    if "vip_qos_policy_id" in values:
        of_port["qos_policy_id"] = values["vip_qos_policy_id"]
    if "vip_sg_ids" in values:
        values["vip_sg_ids"] = values["vip_sg_ids"] or []
        of_port |= {"security_groups": values["vip_sg_ids"], "port_security_enabled": bool(values["vip_sg_ids"])}
    if of_port:
        await vips.change(ctx, balancer.vip_port_id, of_port)
    async with ctx.db.write() as tx:
        return (await views(tx, [await rows.change(tx, await begin(ctx, tx, balancer.id), **values)]))[0]


@routes.put(f"{PATH}/{{loadbalancer_id}}/failover", target=BALANCER, status=202,
            policy=policies.admin("loadbalancer", "put_failover"))
async def fail_over(ctx: Ctx, balancer: LoadBalancer) -> None:
    """To another host, if there is one; also what helps one in ERROR."""
    async with ctx.db.write() as tx:
        row = await rows.get(tx, LoadBalancer, balancer.id)
        if row.provisioning_status not in (Provisioning.ACTIVE, Provisioning.ERROR):
            raise Immutable(what=LoadBalancer.title, id=row.id)
        await rows.change(tx, row, provisioning_status=Provisioning.UPDATING)
        await start(ctx, tx, ApplyChanges(balancer_id=row.id, leave=row.host or ""), row.id)


class DeleteQuery(msgspec.Struct, kw_only=True):
    cascade: bool = False


@routes.delete(f"{PATH}/{{loadbalancer_id}}", target=BALANCER, policy=policies.write("loadbalancer", "delete"))
async def delete_balancer(ctx: Ctx, balancer: LoadBalancer, query: DeleteQuery) -> None:
    async with ctx.db.write() as tx:
        row = await rows.get(tx, LoadBalancer, balancer.id)
        if row.provisioning_status not in (Provisioning.ACTIVE, Provisioning.ERROR):
            raise Immutable(what=LoadBalancer.title, id=row.id)
        tree = await rows.tree(tx, row)
        if not query.cascade and (tree.listeners or tree.pools):
            raise Invalid(reason=f"Cannot delete Load Balancer {row.id} - it has children")
        for part in tree.parts():
            await rows.change(tx, part, provisioning_status=Provisioning.DELETING)
        await start(ctx, tx, DeleteLoadBalancer(balancer_id=row.id), row.id)


# -- how it does ----------------------------------------------------------------------------


@routes.get(f"{PATH}/{{loadbalancer_id}}/stats", envelope="stats", target=BALANCER,
            policy=policies.read("loadbalancer", "get_stats"))
async def show_statistics(ctx: Ctx, balancer: LoadBalancer) -> Statistics:
    async with ctx.db.read() as reader:
        found = await rows.of(reader, Listener, "load_balancer_id", [balancer.id])
    return Statistics(**{name: sum(getattr(row, name) for row in found) for name in Statistics.__struct_fields__})


async def _statuses(ctx: Ctx, balancer: LoadBalancer) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        tree = await rows.tree(reader, balancer)

    def told(part: rows.Part, *more: str) -> dict[str, Any]:
        return {name: getattr(part, name) for name in (
            "id", "name", "operating_status", "provisioning_status", *more)}

    def pool(part: Pool) -> dict[str, Any]:
        return told(part) | {
            "health_monitor": next((told(each, "type") for each in tree.monitors if each.pool_id == part.id), {}),
            "members": [told(each, "address", "protocol_port") for each in tree.members if each.pool_id == part.id]}

    used = {row.id: {row.default_pool_id, *(policy.redirect_pool_id for policy in tree.policies
                                            if policy.listener_id == row.id)} for row in tree.listeners}
    return {"loadbalancer": told(balancer) | {"listeners": [
        told(row) | {"pools": [pool(each) for each in tree.pools if each.id in used[row.id]]}
        for row in tree.listeners]}}


@routes.get(f"{PATH}/{{loadbalancer_id}}/status", envelope="statuses", target=BALANCER,
            policy=policies.read("loadbalancer", "get_status"))
async def show_status(ctx: Ctx, balancer: LoadBalancer) -> dict[str, Any]:
    return await _statuses(ctx, balancer)


@routes.get(f"{PATH}/{{loadbalancer_id}}/statuses", envelope="statuses", target=BALANCER,
            policy=policies.read("loadbalancer", "get_status"))
async def show_statuses(ctx: Ctx, balancer: LoadBalancer) -> dict[str, Any]:
    return await _statuses(ctx, balancer)
