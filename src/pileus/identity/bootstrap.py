"""The identity of a fresh cloud: what everybody expects to find; doing it again changes only what differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from pileus.identity import feed
from pileus.identity.model import logins, projects, roles, users
from pileus.identity.model.catalog import CatalogService, Endpoint, Region
from pileus.identity.model.projects import new_domain, new_project
from pileus.identity.model.roles import Role
from pileus.identity.model.tables import SYSTEM
from pileus.identity.model.tables import assignments as assignment_table
from pileus.identity.model.tables import endpoints as endpoint_table
from pileus.identity.model.tables import implied_roles as implied_role_table
from pileus.identity.model.tables import projects as project_table
from pileus.identity.model.tables import regions as region_table
from pileus.identity.model.tables import roles as role_table
from pileus.identity.model.tables import services as service_table
from pileus.identity.model.tables import users as user_table
from pileus.identity.model.users import User
from pileus.identity.runtime import Identity
from pileus.identity.service_tokens import SERVICE_PROJECT, fixed_id
from pileus.kit import db
from pileus.kit.db import Connection

DEFAULT_DOMAIN, REGION = "default", "RegionOne"
ROLES = ("admin", "manager", "member", "reader", "service")
IMPLIED = (("admin", "manager"), ("manager", "member"), ("member", "reader"))
PROJECTS = ("admin", "demo", SERVICE_PROJECT)
SERVICE_USERS = ("compute", "network", "image", "placement", "volume", "load_balancer", "object_store",
                 "orchestration", "telemetry")
INTERFACES = ("public", "internal", "admin")


class Mount(NamedTuple):
    """One service of the catalog."""

    type: str
    name: str
    path: str                         # behind the base URL


# Identity answers at /identity too, but discover-tempest-config takes such a URL for one without a port, and writes the
# port once more behind the one that is there.
SERVICES = (Mount("identity", "keystone", "/keystone"), Mount("placement", "placement", "/placement"),
            Mount("image", "glance", "/image"), Mount("network", "neutron", "/network"),
            Mount("compute", "nova", "/compute/v2.1"), Mount("block-storage", "cinder", "/volume/v3"),
            Mount("volumev3", "cinderv3", "/volume/v3"), Mount("load-balancer", "octavia", "/load-balancer"))


async def bootstrap(app: Identity, passwords: Mapping[str, str], base_url: str,
                    services: Sequence[Mount] = SERVICES, *, repair: bool = False) -> None:
    """Make the default cloud. `passwords` are those of the users `admin` and `demo`; only users that are not there
    yet get theirs. `base_url` is where clients find the cloud: scheme, host and port. With `repair` also what an
    operator may have meant to take away comes back."""
    async with app.db.read() as reader:
        missing = [name for name in passwords if await users.find(reader, fixed_id("user", name)) is None]
    hashes = dict(zip(missing, await app.passwords.hash_all([passwords[name] for name in missing]), strict=True))
    now = app.clock()
    async with app.db.write() as tx:
        changed = await _places(tx)
        changed |= await _roles(tx, every_implication=repair)
        changed |= await _users(tx, hashes, now)
        changed |= await _assignments(tx)
        changed |= await _catalog(tx, base_url.rstrip("/"), services)
        if changed:
            await app.announce(tx, feed.ROLES, feed.CATALOG)


async def _add_missing(tx: Connection, table: sa.Table, rows: Sequence[Any]) -> bool:
    known = set(await db.scalars(tx, sa.select(table.c.id).where(table.c.id.in_([row.id for row in rows]))))
    new = [row for row in rows if row.id not in known]
    await db.add(tx, table, *new)
    return bool(new)


async def _places(tx: Connection) -> bool:
    domain = await projects.find(tx, DEFAULT_DOMAIN)
    changed = domain is None
    if domain is None:
        domain = new_domain(DEFAULT_DOMAIN, "Default", description="The default domain")
        await projects.add(tx, domain)
    for name in PROJECTS:
        id = fixed_id("project", name)
        if await projects.find(tx, id) is None:
            await projects.add(tx, new_project(id, name, domain))
            changed = True
    return changed


async def _roles(tx: Connection, *, every_implication: bool = False) -> bool:
    changed = await _add_missing(tx, role_table, [
        Role(id=fixed_id("role", name), name=name, options={"immutable": True}) for name in ROLES])
    if changed or every_implication:
        known = {tuple(row) for row in await tx.execute(
            sa.select(implied_role_table.c.prior_id, implied_role_table.c.implied_id))}
        wanted = [(fixed_id("role", prior), fixed_id("role", implied)) for prior, implied in IMPLIED]
        for prior_id, implied_id in wanted:
            if (prior_id, implied_id) not in known:
                await tx.execute(implied_role_table.insert().values(prior_id=prior_id, implied_id=implied_id))
                changed = True
    return changed


async def _users(tx: Connection, hashes: Mapping[str, str], now: float) -> bool:
    people = [User(id=fixed_id("user", name), domain_id=DEFAULT_DOMAIN, name=name, password_hash=hashed,
                   password_changed_at=now, created_at=now,
                   default_project_id=fixed_id("project", name) if name in PROJECTS else None)
              for name, hashed in hashes.items()]
    return await _add_missing(tx, user_table, people + [
        User(id=fixed_id("user", name), domain_id=DEFAULT_DOMAIN, name=name, created_at=now) for name in SERVICE_USERS])


async def _assignments(tx: Connection) -> bool:
    wanted = [("admin", fixed_id("project", "admin"), "admin"), ("admin", DEFAULT_DOMAIN, "admin"),
              ("admin", SYSTEM, "admin"), ("demo", fixed_id("project", "demo"), "member")]
    wanted += [(name, fixed_id("project", SERVICE_PROJECT), role) for name in SERVICE_USERS
               for role in ("admin", "service")]
    known = set(await db.scalars(tx, sa.select(user_table.c.id).where(
        user_table.c.id.in_({fixed_id("user", name) for name, _, _ in wanted}))))
    held = {tuple(row) for row in await tx.execute(sa.select(
        assignment_table.c.actor_id, assignment_table.c.target_id, assignment_table.c.role_id).where(
            assignment_table.c.actor_id.in_(known)))}
    rows = [roles.assignment(user_id=fixed_id("user", name), target_id=target, role_id=fixed_id("role", role))
            for name, target, role in wanted if fixed_id("user", name) in known]
    new = [row for row in rows if (row.actor_id, row.target_id, row.role_id) not in held]
    await db.add(tx, assignment_table, *new)
    return bool(new)


async def _catalog(tx: Connection, base_url: str, services: Sequence[Mount]) -> bool:
    changed = await _add_missing(tx, region_table, [Region(id=REGION)])
    changed |= await _add_missing(tx, service_table, [
        CatalogService(id=fixed_id("service", mount.type), type=mount.type, name=mount.name) for mount in services])
    wanted = [Endpoint(id=fixed_id("endpoint", f"{mount.type} {interface}"), service_id=fixed_id("service", mount.type),
                       region_id=REGION, interface=interface, url=base_url + mount.path)
              for mount in services for interface in INTERFACES]
    changed |= await _add_missing(tx, endpoint_table, wanted)
    known = {row.id: row for row in await db.many(tx, sa.select(endpoint_table), Endpoint)}
    for endpoint in wanted:
        if known[endpoint.id].url != endpoint.url:
            await db.change(tx, endpoint_table, known[endpoint.id], url=endpoint.url)
            changed = True
    return changed



async def repair(app: Identity, passwords: Mapping[str, str], base_url: str) -> list[str]:
    """Bring back what an administrator needs to get in: the user, its password and roles, and the catalog. Says what
    was amiss; doing it again finds nothing. All else stays as it is."""
    amiss = await _lacking(app, passwords)
    await bootstrap(app, passwords, base_url, repair=True)
    async with app.db.read() as reader:
        admin = await users.get(reader, fixed_id("user", "admin"))
    wrong = not await app.passwords.verify(passwords["admin"], admin.password_hash)
    values: dict[str, Any] = {} if admin.enabled else {"enabled": True}
    if wrong or app.compliance.expired(admin):
        values |= {"password_hash": await app.passwords.hash(passwords["admin"]), "password_expires_at": None,
                   "password_changed_at": app.clock()}
    async with app.db.write() as tx:
        forgiven = await logins.forgive(tx, admin.id)
        enabled = [await _enable(tx, table, ids) for table, ids in (
            (project_table, [DEFAULT_DOMAIN, fixed_id("project", "admin"), fixed_id("project", SERVICE_PROJECT)]),
            (service_table, [fixed_id("service", mount.type) for mount in SERVICES]),
            (endpoint_table, [fixed_id("endpoint", f"{m.type} {i}") for m in SERVICES for i in INTERFACES]))]
        if values:
            await db.change(tx, user_table, admin, **values)
        if values or any(enabled):
            await app.announce(tx, f"user:{admin.id}", feed.EVERYTHING)
    amiss += ["the user admin was disabled"] if "enabled" in values else []
    amiss += ["the password of admin was another one, or had ended"] if "password_hash" in values else []
    amiss += ["the user admin was locked out"] if forgiven else []
    return amiss + [f"{count} disabled: {kind}" for kind, count in zip(
        ("projects or domains", "services", "endpoints"), enabled, strict=True) if count]


async def _enable(tx: Connection, table: sa.Table, ids: list[str]) -> int:
    return await db.update(tx, table.update().where(table.c.id.in_(ids), table.c.enabled.is_(False)).values(
        enabled=True, generation=table.c.generation + 1))


async def _lacking(app: Identity, passwords: Mapping[str, str]) -> list[str]:
    """Which rows of a fresh cloud are not there."""
    wanted = {user_table: [fixed_id("user", name) for name in (*passwords, *SERVICE_USERS)],
              role_table: [fixed_id("role", name) for name in ROLES],
              project_table: [DEFAULT_DOMAIN, *(fixed_id("project", name) for name in PROJECTS)],
              service_table: [fixed_id("service", mount.type) for mount in SERVICES],
              endpoint_table: [fixed_id("endpoint", f"{m.type} {i}") for m in SERVICES for i in INTERFACES]}
    found = []
    async with app.db.read() as reader:
        for table, ids in wanted.items():
            there = await db.scalar(reader, sa.select(sa.func.count()).select_from(table).where(table.c.id.in_(ids)))
            found += [f"{len(ids) - there} missing: {table.name}"] if there < len(ids) else []
        held = await roles.held(reader, fixed_id("user", "admin"), fixed_id("project", "admin"), [])
    return found + ([] if fixed_id("role", "admin") in held else ["admin did not hold the role admin"])
