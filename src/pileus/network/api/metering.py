"""/v2.0/metering: labels and rules that say what of the traffic through routers is counted."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Literal

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.ids import new_uuid
from pileus.kit.policy import ADMIN, Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx
from pileus.network import faults
from pileus.network.api import listing
from pileus.network.api.listing import Listing, Query
from pileus.network.api.shapes import Created, Id, ProjectId, app, owner
from pileus.network.model import base, metering
from pileus.network.model.metering import Label, LabelRule

routes = Routes()


class LabelCreate(Created, kw_only=True, forbid_unknown_fields=True):
    shared: bool = False


class LabelView(msgspec.Struct, kw_only=True):
    id: str
    name: str
    description: str
    project_id: str
    tenant_id: str
    shared: bool


class LabelRuleCreate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    metering_label_id: Id
    direction: Literal["ingress", "egress"] = "ingress"
    remote_ip_prefix: str | None = None
    source_ip_prefix: str | None = None
    destination_ip_prefix: str | None = None
    excluded: bool = False
    project_id: ProjectId = msgspec.UNSET
    tenant_id: ProjectId = msgspec.UNSET


class LabelRuleView(msgspec.Struct, kw_only=True):
    id: str
    metering_label_id: str
    direction: str
    remote_ip_prefix: str | None
    source_ip_prefix: str | None
    destination_ip_prefix: str | None
    excluded: bool


def view(row: Label) -> LabelView:
    return LabelView(id=row.id, name=row.name, description=row.description, project_id=row.project_id,
                     tenant_id=row.project_id, shared=row.shared)


def rule_view(row: LabelRule) -> LabelRuleView:
    return LabelRuleView(**{name: getattr(row, name) for name in LabelRuleView.__struct_fields__})


LABEL = Target(metering.get, missing=faults.MeteringLabelNotFound)
RULE = Target(metering.get_rule, missing=faults.MeteringRuleNotFound)
LABELS = Listing(collection="metering_labels", table=metering.labels, row=Label,
                 columns=listing.columns_of(metering.labels))
RULES = Listing(collection="metering_label_rules", table=metering.rules, row=LabelRule,
                columns=listing.columns_of(metering.rules, "name"))


@routes.get("/v2.0/metering/metering-labels", envelope="metering_labels", policy=Rule("get_metering_label", ADMIN))
async def list_labels(ctx: Ctx, query: Query) -> Page[LabelView]:
    async with ctx.db.read() as reader:
        found = await listing.fetch(ctx, reader, LABELS, query, None)
        return Page([view(row) for row in found.rows], extra=found.links)


@routes.get("/v2.0/metering/metering-labels/{metering_label_id}", envelope="metering_label", target=LABEL,
            policy=Rule("get_metering_label", ADMIN))
async def show_label(ctx: Ctx, label: Label) -> LabelView:
    return view(label)


@routes.post("/v2.0/metering/metering-labels", envelope="metering_label", bulk="metering_labels", status=201,
             policy=Rule("create_metering_label", ADMIN))
async def create_labels(ctx: Ctx, body: list[LabelCreate]) -> list[LabelView]:
    now = ctx.clock()
    rows = [Label(id=new_uuid(), project_id=owner(ctx, each), name=each.name, description=each.description or "",
                  created_at=now, updated_at=now, shared=each.shared) for each in body]
    async with ctx.db.write() as tx:
        await db.add(tx, metering.labels, *rows)
    return [view(row) for row in rows]


@routes.delete("/v2.0/metering/metering-labels/{metering_label_id}", target=LABEL,
               policy=Rule("delete_metering_label", ADMIN))
async def delete_label(ctx: Ctx, label: Label) -> None:
    async with ctx.db.write() as tx:
        await base.remove(tx, metering.labels, label.id)
        app(ctx).changed(tx)


@routes.get("/v2.0/metering/metering-label-rules", envelope="metering_label_rules",
            policy=Rule("get_metering_label_rule", ADMIN))
async def list_rules(ctx: Ctx, query: Query) -> Page[LabelRuleView]:
    async with ctx.db.read() as reader:
        found = await listing.fetch(ctx, reader, RULES, query, None)
        return Page([rule_view(row) for row in found.rows], extra=found.links)


@routes.get("/v2.0/metering/metering-label-rules/{metering_label_rule_id}", envelope="metering_label_rule",
            target=RULE, policy=Rule("get_metering_label_rule", ADMIN))
async def show_rule(ctx: Ctx, rule: LabelRule) -> LabelRuleView:
    return rule_view(rule)


@routes.post("/v2.0/metering/metering-label-rules", envelope="metering_label_rule", bulk="metering_label_rules",
             status=201, policy=Rule("create_metering_label_rule", ADMIN))
async def create_rules(ctx: Ctx, body: list[LabelRuleCreate]) -> list[LabelRuleView]:
    now, made = ctx.clock(), []
    async with ctx.db.write() as tx:
        for each in body:
            label = await metering.get(tx, each.metering_label_id)
            if each.remote_ip_prefix and (each.source_ip_prefix or each.destination_ip_prefix):
                raise faults.InvalidInput(reason="remote_ip_prefix excludes source_ip_prefix and destination_ip_prefix")
            if not (each.remote_ip_prefix or each.source_ip_prefix or each.destination_ip_prefix):
                raise faults.InvalidInput(reason="a rule names at least one prefix")
            row = LabelRule(
                id=new_uuid(), project_id=label.project_id, created_at=now, updated_at=now,
                metering_label_id=label.id, direction=each.direction, excluded=each.excluded,
                remote_ip_prefix=_prefix(each.remote_ip_prefix), source_ip_prefix=_prefix(each.source_ip_prefix),
                destination_ip_prefix=_prefix(each.destination_ip_prefix))
            same = sa.and_(*(metering.rules.c[name] == getattr(row, name) for name in (
                "metering_label_id", "direction", "remote_ip_prefix", "source_ip_prefix", "destination_ip_prefix")
                if getattr(row, name) is not None))
            if await db.scalar(tx, sa.select(metering.rules.c.id).where(same).limit(1)) is not None:
                raise faults.MeteringRuleOverlaps(prefix=row.remote_ip_prefix or row.source_ip_prefix)
            await db.add(tx, metering.rules, row)
            made.append(row)
        app(ctx).changed(tx)
    return [rule_view(row) for row in made]


def _prefix(given: str | None) -> str | None:
    if not given:
        return None
    try:
        return str(ip_network(given, strict=False))
    except ValueError:
        raise faults.InvalidInput(reason=f"'{given}' is not a valid IP subnet") from None


@routes.delete("/v2.0/metering/metering-label-rules/{metering_label_rule_id}", target=RULE,
               policy=Rule("delete_metering_label_rule", ADMIN))
async def delete_rule(ctx: Ctx, rule: LabelRule) -> None:
    async with ctx.db.write() as tx:
        await base.remove(tx, metering.rules, rule.id)
        app(ctx).changed(tx)
