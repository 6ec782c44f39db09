"""/v2.0/address-groups: lists of networks that rules of security groups name as their remote."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network
from typing import Annotated

import msgspec
import sqlalchemy as sa
from msgspec import UNSET, UnsetType

from pileus.kit import db
from pileus.kit.caller import Caller
from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.kit.policy import Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx
from pileus.network import faults
from pileus.network.api import listing
from pileus.network.api.listing import Listing, Query
from pileus.network.api.policies import GRANTED_SHOW, MEMBER
from pileus.network.api.shapes import (
    Changed,
    Created,
    Standard,
    app,
    check_revision,
    given,
    owner,
    sees_all,
    standard,
    texts,
)
from pileus.network.model import address_groups, base, rbac
from pileus.network.model.address_groups import AddressGroup

routes = Routes()
Prefix = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class AddressGroupCreate(Created, kw_only=True, forbid_unknown_fields=True):
    addresses: list[Prefix] = []


class Addresses(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    addresses: list[Prefix]


class AddressesChange(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Clients say the addresses alone, or as those of an address group."""

    addresses: list[Prefix] | UnsetType = UNSET
    address_group: Addresses | UnsetType = UNSET

    @property
    def said(self) -> list[str]:
        if (self.addresses is UNSET) == (self.address_group is UNSET):
            raise faults.InvalidInput(reason="addresses are said once")
        return self.address_group.addresses if isinstance(self.address_group, Addresses) else list(self.addresses or ())


class AddressGroupView(Standard, kw_only=True):
    addresses: list[str]
    shared: bool = False


async def views(conn: Connection, rows: Sequence[AddressGroup]) -> list[AddressGroupView]:
    tags = await base.tags_of(conn, [row.id for row in rows])
    shared = set(await db.scalars(conn, sa.select(rbac.policies.c.object_id).where(
        rbac.policies.c.object_id.in_([row.id for row in rows]))))
    return [AddressGroupView(**standard(row, tags[row.id]), addresses=row.addresses, shared=row.id in shared)
            for row in rows]


def visible(ctx: Ctx) -> sa.ColumnElement[bool] | None:
    c, mine = address_groups.address_groups.c, ctx.caller.project_id or ""
    return None if sees_all(ctx) else sa.or_(c.project_id == mine, c.id.in_(rbac.granted("address_group", mine)))


async def granted(reader: Connection, row: AddressGroup, caller: Caller) -> bool:
    return await rbac.is_given(reader, "address_group", row.id, caller.project_id)


GROUP = Target(address_groups.get, missing=faults.AddressGroupNotFound, granted=granted)
OWN = Target(address_groups.get, missing=faults.AddressGroupNotFound)     # who only uses a group finds none to change
LISTING = Listing(collection="address_groups", table=address_groups.address_groups, row=AddressGroup,
                  columns=listing.columns_of(address_groups.address_groups, "addresses"))
PATH = "/v2.0/address-groups/{address_group_id}"


def _networks(addresses: Sequence[str], *, bare: bool = False) -> list[str]:
    """In the form they are kept and told: with a prefix length, which only what is to be removed may lack."""
    found = []
    for address in addresses:
        try:
            if "/" not in address and not bare:
                raise ValueError("without a prefix length it may mean anything")
            found.append(str(ip_network(address, strict=False)))
        except ValueError:
            raise faults.InvalidInput(reason=f"'{address}' is neither a valid IP address nor a valid subnet") from None
    return list(dict.fromkeys(found))


@routes.get("/v2.0/address-groups", envelope="address_groups", policy=Rule("get_address_group", GRANTED_SHOW))
async def list_address_groups(ctx: Ctx, query: Query) -> Page[AddressGroupView]:
    async with ctx.db.read() as reader:
        found = await listing.fetch(ctx, reader, LISTING, query, visible(ctx))
        return Page(await views(reader, found.rows), extra=found.links)


@routes.get(PATH, envelope="address_group", target=GROUP, policy=Rule("get_address_group", GRANTED_SHOW))
async def show_address_group(ctx: Ctx, group: AddressGroup) -> AddressGroupView:
    async with ctx.db.read() as reader:
        return (await views(reader, [group]))[0]


@routes.post("/v2.0/address-groups", envelope="address_group", bulk="address_groups", status=201,
             policy=Rule("create_address_group", MEMBER))
async def create_address_groups(ctx: Ctx, body: list[AddressGroupCreate]) -> list[AddressGroupView]:
    now = ctx.clock()
    rows = [AddressGroup(id=new_uuid(), project_id=owner(ctx, each), name=each.name,
                         description=each.description or "", created_at=now, updated_at=now,
                         addresses=_networks(each.addresses)) for each in body]
    async with ctx.db.write() as tx:
        await db.add(tx, address_groups.address_groups, *rows)
        return await views(tx, rows)


@routes.put(PATH, envelope="address_group", target=OWN, policy=Rule("update_address_group", MEMBER))
async def update_address_group(ctx: Ctx, group: AddressGroup, body: Changed) -> AddressGroupView:
    check_revision(ctx, group)
    return await _changed(ctx, group, **texts(given(body)))


@routes.put(PATH + "/add_addresses", target=OWN, policy=Rule("add_addresses", MEMBER))
async def add_addresses(ctx: Ctx, group: AddressGroup, body: AddressesChange) -> dict[str, AddressGroupView]:
    wanted = _networks(body.said)
    if known := sorted(set(wanted) & set(group.addresses)):
        raise faults.AddressesKnown(addresses=known, address_group_id=group.id)
    return {"address_group": await _changed(ctx, group, addresses=[*group.addresses, *wanted])}


@routes.put(PATH + "/remove_addresses", target=OWN, policy=Rule("remove_addresses", MEMBER))
async def remove_addresses(ctx: Ctx, group: AddressGroup, body: AddressesChange) -> dict[str, AddressGroupView]:
    unwanted = _networks(body.said, bare=True)
    if strange := sorted(set(unwanted) - set(group.addresses)):
        raise faults.AddressesUnknown(addresses=strange, address_group_id=group.id)
    left = [address for address in group.addresses if address not in unwanted]
    return {"address_group": await _changed(ctx, group, addresses=left)}


async def _changed(ctx: Ctx, group: AddressGroup, **values: object) -> AddressGroupView:
    async with ctx.db.write() as tx:
        row = group
        if values:
            row = await base.change(tx, address_groups.address_groups, group, ctx.clock(), **values)
        app(ctx).changed(tx)
        return (await views(tx, [row]))[0]


@routes.delete(PATH, target=GROUP, policy=Rule("delete_address_group", MEMBER))
async def delete_address_group(ctx: Ctx, group: AddressGroup) -> None:
    check_revision(ctx, group)
    try:
        async with ctx.db.write() as tx:
            await rbac.forget(tx, group.id)
            await base.remove(tx, address_groups.address_groups, group.id)
    except db.Taken as error:
        raise faults.AddressGroupInUse(address_group_id=group.id) from error
