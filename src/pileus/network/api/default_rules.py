"""/v2.0/default-security-group-rules: what new security groups begin with, said by the administrator."""

from __future__ import annotations

from typing import Literal

import msgspec

from pileus.kit import db
from pileus.kit.clock import stamp
from pileus.kit.ids import new_uuid
from pileus.kit.policy import ADMIN, ANYONE, Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx
from pileus.network import faults, group_rules
from pileus.network.api import listing
from pileus.network.api.listing import Listing, Query
from pileus.network.api.shapes import Text
from pileus.network.model import address_groups, base, default_rules
from pileus.network.model.default_rules import PARENT, DefaultRule

routes = Routes()


class DefaultRuleCreate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    direction: Literal["ingress", "egress"]
    ethertype: str | None = "IPv4"
    protocol: str | int | None = None
    port_range_min: int | str | None = None
    port_range_max: int | str | None = None
    remote_ip_prefix: str | None = None
    remote_group_id: str | None = None
    remote_address_group_id: str | None = None
    used_in_default_sg: bool = False
    used_in_non_default_sg: bool = True
    description: Text | None = ""


class DefaultRuleView(msgspec.Struct, kw_only=True):
    id: str
    direction: str
    ethertype: str
    protocol: str | None
    port_range_min: int | None
    port_range_max: int | None
    remote_ip_prefix: str | None
    remote_group_id: str | None
    remote_address_group_id: str | None
    used_in_default_sg: bool
    used_in_non_default_sg: bool
    description: str
    created_at: str
    updated_at: str
    revision_number: int


def view(row: DefaultRule) -> DefaultRuleView:
    same = {name: getattr(row, name) for name in DefaultRuleView.__struct_fields__
            if name not in ("created_at", "updated_at", "revision_number")}
    return DefaultRuleView(**same, created_at=stamp(row.created_at), updated_at=stamp(row.updated_at),
                           revision_number=row.generation)


TEMPLATE = Target(default_rules.get, missing=faults.DefaultRuleNotFound)
LISTING = Listing(collection="default_security_group_rules", table=default_rules.default_rules, row=DefaultRule,
                  columns=listing.columns_of(default_rules.default_rules, "meaning", "name", "project_id"))
PATH = "/v2.0/default-security-group-rules"


@routes.get(PATH, envelope="default_security_group_rules", policy=Rule("get_default_security_group_rule", ANYONE))
async def list_default_rules(ctx: Ctx, query: Query) -> Page[DefaultRuleView]:
    async with ctx.db.read() as reader:
        found = await listing.fetch(ctx, reader, LISTING, query, None)
        return Page([view(row) for row in found.rows], extra=found.links)


@routes.get(PATH + "/{default_security_group_rule_id}", envelope="default_security_group_rule", target=TEMPLATE,
            policy=Rule("get_default_security_group_rule", ANYONE))
async def show_default_rule(ctx: Ctx, template: DefaultRule) -> DefaultRuleView:
    return view(template)


@routes.post(PATH, envelope="default_security_group_rule", bulk="default_security_group_rules", status=201,
             policy=Rule("create_default_security_group_rule", ADMIN))
async def create_default_rules(ctx: Ctx, body: list[DefaultRuleCreate]) -> list[DefaultRuleView]:
    now, made = ctx.clock(), []
    async with ctx.db.write() as tx:
        for each in body:
            plain = group_rules.checked(group_rules.Asked(
                ethertype=each.ethertype or "IPv4", protocol=each.protocol, port_min=each.port_range_min,
                port_max=each.port_range_max, prefix=each.remote_ip_prefix, group_id=each.remote_group_id,
                address_group_id=each.remote_address_group_id))
            if each.remote_group_id not in (None, PARENT):
                raise faults.InvalidInput(reason=f"remote_group_id of a template is {PARENT} or nothing")
            if plain["remote_address_group_id"] is not None:
                await address_groups.get(tx, plain["remote_address_group_id"])
            row = DefaultRule(
                id=new_uuid(), project_id="", created_at=now, updated_at=now, direction=each.direction,
                description=each.description or "", used_in_default_sg=each.used_in_default_sg,
                used_in_non_default_sg=each.used_in_non_default_sg, **plain)
            row = msgspec.structs.replace(row, meaning=default_rules.meaning_of(row))
            if (known := await default_rules.same_as(tx, row)) is not None:
                raise faults.DefaultRuleExists(rule_id=known)
            await db.add(tx, default_rules.default_rules, row)
            made.append(row)
    return [view(row) for row in made]


@routes.delete(PATH + "/{default_security_group_rule_id}", target=TEMPLATE,
               policy=Rule("delete_default_security_group_rule", ADMIN))
async def delete_default_rule(ctx: Ctx, template: DefaultRule) -> None:
    async with ctx.db.write() as tx:
        await base.remove(tx, default_rules.default_rules, template.id)
