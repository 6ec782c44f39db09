"""Domains: what projects, users and groups belong to."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.identity import policies
from pileus.identity.api.fields import (
    Id,
    Name64,
    Options,
    Tags,
    Unset,
    must_be_mutable,
    must_be_unique,
    same_or_refused,
    with_options,
)
from pileus.identity.api.listing import Query, given, merged, narrowed, page, parsed, views
from pileus.identity.api.views import domain_view
from pileus.identity.faults import Duplicate, Missing, Refused
from pileus.identity.model import projects
from pileus.identity.model.projects import Project, new_domain
from pileus.identity.model.tables import projects as table
from pileus.kit import db
from pileus.kit.ids import new_hex
from pileus.kit.policy import Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.web import Ctx

DOMAIN = Target(projects.get_domain, missing=Missing, facts=policies.domain_facts, refuse=policies.nothing)
# Whether there is such a domain is told to whoever asks to change it.
CHANGED = Target(projects.get_domain, missing=Missing, facts=policies.domain_facts, hidden=lambda row, caller: False)
MEMBER = f"{policies.reader_of('domain')} or domain_id:%(target.domain.id)s or project_domain_id:%(target.domain.id)s"
routes = Routes()


class DomainCreate(msgspec.Struct, kw_only=True):
    name: Name64
    description: str | None = ""
    enabled: bool = True
    tags: Tags = []
    options: Options = {}
    explicit_domain_id: Id | None = None


class DomainUpdate(msgspec.Struct, kw_only=True):
    name: Name64 | Unset = msgspec.UNSET
    description: str | None | Unset = msgspec.UNSET
    enabled: bool | Unset = msgspec.UNSET
    tags: Tags | Unset = msgspec.UNSET
    options: Options | Unset = msgspec.UNSET


@routes.get("/v3/domains", envelope="domains", policy=Rule("identity:list_domains", policies.LISTER))
async def list_domains(ctx: Ctx, query: dict[str, list[str]]) -> Page[dict[str, Any]]:
    wanted: Query = query
    found = sa.select(table).where(table.c.is_domain.is_(True))
    if ctx.caller.domain_id:
        found = found.where(table.c.id == ctx.caller.domain_id)
    found = narrowed(found, wanted, {"name": table.c.name, "enabled": table.c.enabled})
    async with ctx.db.read() as reader:
        return views(ctx, await page(reader, found, table.c.id, Project, wanted), domain_view)


@routes.post("/v3/domains", envelope="domain", status=201, policy=Rule("identity:create_domain", policies.ADMIN))
async def create_domain(ctx: Ctx, body: dict[str, Any]) -> dict[str, Any]:
    fields, extra = parsed(DomainCreate, body)
    domain = new_domain(fields.explicit_domain_id or new_hex(), fields.name, enabled=fields.enabled, extra=extra,
                        description=fields.description or "", tags=must_be_unique(fields.tags),
                        options=with_options({}, fields.options))
    try:
        async with ctx.db.write() as tx:
            await projects.add(tx, domain)
    except db.Taken as error:
        raise Duplicate(kind="domain", why=f"it is not possible to create two domains named {fields.name}.") from error
    return domain_view(ctx, domain)


@routes.get("/v3/domains/{domain_id}", envelope="domain", target=DOMAIN, policy=Rule("identity:get_domain", MEMBER))
async def show_domain(ctx: Ctx, domain: Project) -> dict[str, Any]:
    return domain_view(ctx, domain)


@routes.patch("/v3/domains/{domain_id}", envelope="domain", target=CHANGED,
              policy=Rule("identity:update_domain", policies.ADMIN))
async def update_domain(ctx: Ctx, domain: Project, body: dict[str, Any]) -> dict[str, Any]:
    same_or_refused(body, "id", domain.id)
    must_be_mutable("domain", domain, body)
    fields, extra = parsed(DomainUpdate, body)
    return domain_view(ctx, await apply_changes(ctx, domain, given(fields), extra, f"domain:{domain.id}"))


async def apply_changes(ctx: Ctx, row: Project, values: dict[str, Any], extra: dict[str, Any],
                        subject: str) -> Project:
    """Write changes of a domain or project; disabling one ends the tokens for it."""
    if "description" in values:
        values["description"] = values["description"] or ""
    if "options" in values:
        values["options"] = with_options(row.options, values["options"])
    must_be_unique(values.get("tags", []))
    if extra:
        values["extra"] = merged(row.extra, extra)
    try:
        async with ctx.db.write() as tx:
            if {"name", "enabled"} & set(values):
                await ctx.app.announce(tx, subject, revoke=values.get("enabled") is False)
            return await projects.change(tx, row, **values)
    except db.Taken as error:
        raise Duplicate(kind="domain" if row.is_domain else "project",
                        why=f"the name {values.get('name')} is in use.") from error


@routes.delete("/v3/domains/{domain_id}", target=DOMAIN, policy=Rule("identity:delete_domain", policies.ADMIN))
async def delete_domain(ctx: Ctx, domain: Project) -> None:
    must_be_mutable("domain", domain)
    await remove_domain(ctx, domain)


async def remove_domain(ctx: Ctx, domain: Project) -> None:
    """A domain goes with all that is in it; disabling it first is how one shows to mean it."""
    if domain.enabled:
        raise Refused(reason="Cannot delete a domain that is enabled, please disable it first.")
    async with ctx.db.write() as tx:
        await projects.remove(tx, [domain.id])
        await ctx.app.announce(tx, f"domain:{domain.id}", revoke=True)
