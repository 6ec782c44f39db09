"""The configuration of single domains: where their users are, as operators know it from keystone's options."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from pileus.identity import policies
from pileus.identity.directory import options as known
from pileus.identity.directory.directories import CHANGED
from pileus.identity.faults import Missing, Refused
from pileus.identity.model import domain_options, projects
from pileus.identity.model.domain_options import Option
from pileus.kit.db import Connection
from pileus.kit.faults import NotFound
from pileus.kit.policy import Rule
from pileus.kit.routes import Routes, Target
from pileus.kit.web import Ctx

DOMAIN = Target(projects.get_domain, missing=Missing, facts=policies.domain_facts, refuse=policies.nothing)
READ = Rule("identity:get_domain_config", policies.READER)
READ_DEFAULT = Rule("identity:get_domain_config_default", policies.READER)
CREATE = Rule("identity:create_domain_config", policies.ADMIN)
UPDATE = Rule("identity:update_domain_config", policies.ADMIN)
DELETE = Rule("identity:delete_domain_config", policies.ADMIN)
PATH = "/v3/domains/{domain_id}/config"
Sections = dict[str, dict[str, Any]]
routes = Routes()


class NoSuchOption(NotFound):
    message = "Could not find {what} in domain configuration for domain {domain_id}."


class BadOption(Refused):
    message = "Invalid domain specific configuration: {reason}."


def _must_be_known(section: str, name: str | None = None) -> None:
    if section not in known.SECTIONS:
        raise BadOption(reason=f"Group {section} is not supported for domain specific configurations")
    if name is not None and name not in known.names(section):
        raise _unknown(section, name)


def _unknown(section: str, name: str) -> BadOption:
    return BadOption(reason=f"Option {name} in group {section} is not supported for domain specific configurations")


def _checked(body: dict[str, Any]) -> Sections:
    """Sections with their options, all of them known."""
    if not body:
        raise BadOption(reason="No options specified")
    for section, values in body.items():
        _must_be_known(section)
        if not isinstance(values, dict) or not values:
            raise BadOption(reason=f"No options specified in group {section}")
        for name in values:
            _must_be_known(section, name)
    return body


def _stored(ctx: Ctx, domain_id: str, sections: Sections) -> list[Option]:
    found = []
    for section, values in sections.items():
        for name, value in values.items():
            text, sensitive = msgspec.json.encode(value), (section, name) in known.SENSITIVE
            found.append(Option(domain_id=domain_id, section=section, name=name, sensitive=sensitive,
                                value=ctx.app.credential_keys.encrypt(text) if sensitive else text.decode()))
    return found


def _shown(options: Iterable[Option]) -> Sections:
    """Without what is sensitive."""
    found: Sections = {}
    for option in options:
        if not option.sensitive:
            found.setdefault(option.section, {})[option.name] = msgspec.json.decode(option.value)
    return found


async def _present(conn: Connection, domain_id: str, section: str | None = None, name: str | None = None) -> Sections:
    """What a domain's configuration shows of itself, a section or an option. Raises NoSuchOption for nothing."""
    if section is not None:
        _must_be_known(section, name)
    shown = _shown(await domain_options.of_domain(conn, domain_id))
    if section is not None:
        shown = {section: shown.get(section, {})}
    if name is not None:
        shown = {key: {name: values[name]} for key, values in shown.items() if name in values}
    if not any(shown.values()):
        what = f"option {name} in group {section}" if name else f"group {section}" if section else "any options"
        raise NoSuchOption(what=what, domain_id=domain_id)
    return shown


# -- what holds where nothing is said -----------------------------------------------------------------------------


@routes.head("/v3/domains/config/default", policy=READ_DEFAULT)
@routes.get("/v3/domains/config/default", envelope="config", policy=READ_DEFAULT)
async def show_defaults(ctx: Ctx) -> dict[str, Any]:
    return {section: known.defaults(section) for section in known.SECTIONS}


@routes.head("/v3/domains/config/{section}/default", policy=READ_DEFAULT)
@routes.get("/v3/domains/config/{section}/default", envelope="config", policy=READ_DEFAULT)
async def show_default_section(ctx: Ctx, section: str) -> dict[str, Any]:
    _must_be_known(section)
    return {section: known.defaults(section)}


@routes.head("/v3/domains/config/{section}/{option}/default", policy=READ_DEFAULT)
@routes.get("/v3/domains/config/{section}/{option}/default", envelope="config", policy=READ_DEFAULT)
async def show_default_option(ctx: Ctx, section: str, option: str) -> dict[str, Any]:
    _must_be_known(section, option)
    found = known.defaults(section)
    if option not in found:
        raise _unknown(section, option)
    return {option: found[option]}


# -- of one domain ------------------------------------------------------------------------------------------------


@routes.put(PATH, envelope="config", target=DOMAIN, policy=CREATE)
async def create_config(ctx: Ctx, domain: projects.Project, body: dict[str, Any]) -> dict[str, Any]:
    """Instead of all there was before."""
    sections = _checked(body)
    async with ctx.db.write() as tx:
        replaced = await domain_options.remove(tx, domain.id)
        await domain_options.put(tx, _stored(ctx, domain.id, sections))
        await ctx.app.announce(tx, CHANGED)
        ctx.status = 200 if replaced else 201
        return _shown(await domain_options.of_domain(tx, domain.id))


@routes.head(PATH, target=DOMAIN, policy=READ)
@routes.get(PATH, envelope="config", target=DOMAIN, policy=READ)
async def show_config(ctx: Ctx, domain: projects.Project) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        return await _present(reader, domain.id)


@routes.head(f"{PATH}/{{section}}", target=DOMAIN, policy=READ)
@routes.get(f"{PATH}/{{section}}", envelope="config", target=DOMAIN, policy=READ)
async def show_section(ctx: Ctx, domain: projects.Project, section: str) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        return await _present(reader, domain.id, section)


@routes.head(f"{PATH}/{{section}}/{{option}}", target=DOMAIN, policy=READ)
@routes.get(f"{PATH}/{{section}}/{{option}}", envelope="config", target=DOMAIN, policy=READ)
async def show_option(ctx: Ctx, domain: projects.Project, section: str, option: str) -> dict[str, Any]:
    async with ctx.db.read() as reader:
        return (await _present(reader, domain.id, section, option))[section]


async def _update(ctx: Ctx, domain_id: str, sections: Sections) -> dict[str, Any]:
    async with ctx.db.write() as tx:
        await domain_options.put(tx, _stored(ctx, domain_id, sections))
        await ctx.app.announce(tx, CHANGED)
        return _shown(await domain_options.of_domain(tx, domain_id))


async def _must_hold(conn: Connection, domain_id: str, section: str | None = None, name: str | None = None) -> None:
    """What is changed or removed must be there, also if it is sensitive."""
    if section is not None:
        _must_be_known(section, name)
    if not [o for o in await domain_options.of_domain(conn, domain_id)
            if section in (None, o.section) and name in (None, o.name)]:
        await _present(conn, domain_id, section, name)
        what = f"option {name} in group {section}"
        raise NoSuchOption(what=what, domain_id=domain_id)


@routes.patch(PATH, envelope="config", target=DOMAIN, policy=UPDATE)
async def update_config(ctx: Ctx, domain: projects.Project, body: dict[str, Any]) -> dict[str, Any]:
    sections = _checked(body)
    async with ctx.db.read() as reader:
        await _must_hold(reader, domain.id)
    return await _update(ctx, domain.id, sections)


@routes.patch(f"{PATH}/{{section}}", envelope="config", target=DOMAIN, policy=UPDATE)
async def update_section(ctx: Ctx, domain: projects.Project, section: str, body: dict[str, Any]) -> dict[str, Any]:
    _must_be_known(section)
    if set(body) != {section}:
        raise BadOption(reason=f"Trying to update group {section}, so that, and only that, group must be specified in "
                               "the config")
    sections = _checked(body)
    async with ctx.db.read() as reader:
        await _must_hold(reader, domain.id, section)
    return await _update(ctx, domain.id, sections)


@routes.patch(f"{PATH}/{{section}}/{{option}}", envelope="config", target=DOMAIN, policy=UPDATE)
async def update_option(ctx: Ctx, domain: projects.Project, section: str, option: str,
                        body: dict[str, Any]) -> dict[str, Any]:
    _must_be_known(section, option)
    if set(body) != {option}:
        raise BadOption(reason=f"Trying to update option {option} in group {section}, so that, and only that, option "
                               "must be specified in the config")
    async with ctx.db.read() as reader:
        await _must_hold(reader, domain.id, section, option)
    return await _update(ctx, domain.id, {section: {option: body[option]}})


async def _delete(ctx: Ctx, domain_id: str, section: str | None = None, name: str | None = None) -> None:
    async with ctx.db.write() as tx:
        await _must_hold(tx, domain_id, section, name)
        await domain_options.remove(tx, domain_id, section, name)
        await ctx.app.announce(tx, CHANGED)


@routes.delete(PATH, target=DOMAIN, policy=DELETE)
async def delete_config(ctx: Ctx, domain: projects.Project) -> None:
    await _delete(ctx, domain.id)


@routes.delete(f"{PATH}/{{section}}", target=DOMAIN, policy=DELETE)
async def delete_section(ctx: Ctx, domain: projects.Project, section: str) -> None:
    await _delete(ctx, domain.id, section)


@routes.delete(f"{PATH}/{{section}}/{{option}}", target=DOMAIN, policy=DELETE)
async def delete_option(ctx: Ctx, domain: projects.Project, section: str, option: str) -> None:
    await _delete(ctx, domain.id, section, option)
