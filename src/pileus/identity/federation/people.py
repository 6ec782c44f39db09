"""From what an identity provider says of somebody to a user of ours and a token without scope."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import sqlalchemy as sa

from pileus.identity import tokens
from pileus.identity.contexts import Context
from pileus.identity.directory import mirror
from pileus.identity.directory.mirror import public_id
from pileus.identity.faults import InvalidBody, Refused
from pileus.identity.federation import mapping
from pileus.identity.federation.mapping import Assertion, BadRules, Mapped, MappingFailed
from pileus.identity.model import federation, projects, roles, users
from pileus.identity.model.federation import IdentityProvider, expiring_memberships, federated_users
from pileus.identity.model.projects import new_project
from pileus.identity.model.tables import groups as group_table
from pileus.identity.model.tables import memberships
from pileus.identity.model.tables import users as user_table
from pileus.identity.model.users import Group, User
from pileus.identity.tokens import Token
from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.faults import Unauthorized
from pileus.kit.ids import new_hex

if TYPE_CHECKING:
    from pileus.identity.runtime import Identity

MINUTE = 60.0
MOST_GROUPS = 100                      # a token names them all


async def log_in(app: Identity, idp_id: str, protocol_id: str, said: Assertion, *,
                 remote_id: str = "") -> tuple[str, Context]:
    """`said` was proven to come from the provider; `remote_id` is what the provider calls itself."""
    position = app.feed.position
    async with app.db.read() as reader:
        idp = await must_vouch(reader, idp_id)
        protocol = await federation.get_protocol(reader, idp_id, protocol_id)
        rules = await federation.get_mapping(reader, protocol.mapping_id)
        allowed = (await federation.remote_ids_of(reader, {idp_id}))[idp_id]
    issuer = said.get(protocol.remote_id_attribute, "") if protocol.remote_id_attribute else remote_id
    if allowed and issuer not in allowed:
        raise Refused(reason="Incoming identity provider identifier not included among the accepted identifiers.")
    try:
        found = mapping.apply(mapping.parsed(rules.rules), said)
    except (MappingFailed, BadRules) as error:
        raise Refused(reason=f"Mapping {rules.id}: {error}") from error
    async def here(tx: Connection) -> tuple[User, list[str]]:
        if found.user.type == "local":
            return await _local(tx, found), []
        user = await _shadow(tx, app, idp, protocol_id, found, own_domain=rules.schema_version != "1.0")
        group_ids = await _groups(tx, found)
        await _hold_memberships(tx, app, idp, user.id, group_ids)
        await _provision(tx, app, idp, user, found)
        return user, group_ids

    user, group_ids = await mirror.written(app, here)
    now = app.clock()
    token = Token(user_id=user.id, methods=("mapped",), issued_at=now, audit_ids=(tokens.new_audit_id(),),
                  expires_at=float(int(now) + app.config.token_seconds),
                  federated=(idp_id, protocol_id, *group_ids) if found.user.type == "ephemeral" else ())
    text = tokens.encode(app.keys, token)
    async with app.db.read() as reader:
        context = await app.contexts.build(reader, token, text)
    app.contexts.keep(text, context, position)
    return text, context


async def must_vouch(conn: Connection, idp_id: str) -> IdentityProvider:
    idp = await federation.get_idp(conn, idp_id)
    if not idp.enabled:
        raise Refused(reason=f"Identity Provider {idp_id} is disabled.")
    return idp


async def _domain_id(conn: Connection, asked: mapping.Domain | None) -> str | None:
    if asked is None:
        return None
    if asked.id is not None:
        return asked.id
    found = await projects.find_by_name(conn, "", asked.name or "")
    return found.id if found else None


async def _local(tx: Connection, found: Mapped) -> User:
    """One who is here anyway."""
    if found.user.id:
        user = await users.find(tx, found.user.id)
    else:
        domain_id = await _domain_id(tx, found.user.domain)
        user = await users.find_by_name(tx, domain_id, found.user.name or "") if domain_id else None
    if user is None or not user.enabled:
        raise Unauthorized()
    return user


async def _shadow(tx: Connection, app: Identity, idp: IdentityProvider, protocol_id: str, found: Mapped, *,
                  own_domain: bool) -> User:
    """The row of somebody who is at home elsewhere, made at their first coming."""
    unique_id = found.user.id or found.user.name or ""
    domain_id = (await _domain_id(tx, found.user.domain) if own_domain else None) or idp.domain_id
    user_id = public_id(domain_id, "user", unique_id)
    wanted = (found.user.name or unique_id)[:255]
    extra = {"email": found.user.email} if found.user.email else {}
    user = await users.find(tx, user_id)
    if user is None:
        user = User(id=user_id, domain_id=domain_id, name=await _free_name(tx, domain_id, wanted, user_id),
                    created_at=app.clock(), extra=extra)
        await db.add(tx, user_table, user)
    elif user.name not in (wanted, user_id) or user.extra != user.extra | extra:
        user = await db.change(tx, user_table, user, extra=user.extra | extra,
                               name=await _free_name(tx, domain_id, wanted, user_id))
        await app.announce(tx, f"user:{user_id}")
    known = sa.select(federated_users.c.unique_id).where(
        federated_users.c.user_id == user_id, federated_users.c.idp_id == idp.id,
        federated_users.c.protocol_id == protocol_id)
    if await db.scalar(tx, known) is None:
        await tx.execute(federated_users.insert().values(
            user_id=user_id, idp_id=idp.id, protocol_id=protocol_id, unique_id=unique_id))
    return user


async def _free_name(tx: Connection, domain_id: str, wanted: str, user_id: str) -> str:
    """Names are unique in a domain; who comes second is called by their id."""
    holder = await users.find_by_name(tx, domain_id, wanted)
    return wanted if holder is None or holder.id == user_id else user_id


async def _groups(tx: Connection, found: Mapped) -> list[str]:
    """Ids of the groups somebody is in according to the rules. A name that nothing has here means nothing; an id that
    nothing has is a mistake of the rules."""
    named = sa.select(group_table.c.id).where(group_table.c.id.in_(set(found.group_ids)))
    ids = set(await db.scalars(tx, named)) if found.group_ids else set()
    if missing := set(found.group_ids) - ids:
        raise Refused(reason=f"Group {min(missing)} returned by the mapping was not found in the backend.")
    for group in found.groups:
        domain_id = await _domain_id(tx, group.domain)
        row = await db.one(tx, sa.select(group_table).where(
            group_table.c.domain_id == (domain_id or ""), group_table.c.name == group.name), Group)
        if row is not None:
            ids.add(row.id)
    if len(ids) > MOST_GROUPS:
        raise InvalidBody(reason=f"The mapping puts the user into more than {MOST_GROUPS} groups.")
    return sorted(ids)


async def _hold_memberships(tx: Connection, app: Identity, idp: IdentityProvider, user_id: str,
                            group_ids: list[str]) -> None:
    """With a time to live, memberships outlast the token: for application credentials and trusts."""
    table = expiring_memberships
    mine = sa.and_(table.c.user_id == user_id, table.c.idp_id == idp.id)
    held = set(await db.scalars(tx, sa.select(table.c.group_id).where(mine)))
    wanted = set(group_ids) if idp.authorization_ttl else set()
    ends = app.clock() + MINUTE * (idp.authorization_ttl or 0)
    for group_id in held - wanted:
        await drop_membership(tx, user_id, group_id)
    for group_id in wanted & held:
        await tx.execute(table.update().where(mine, table.c.group_id == group_id).values(expires_at=ends))
    for group_id in sorted(wanted - held):
        if not await users.is_member(tx, group_id, user_id):
            await tx.execute(memberships.insert().values(user_id=user_id, group_id=group_id))
            await tx.execute(table.insert().values(
                user_id=user_id, group_id=group_id, idp_id=idp.id, expires_at=ends))
    if held ^ wanted:
        await app.announce(tx, f"user:{user_id}")


async def drop_membership(tx: Connection, user_id: str, group_id: str) -> None:
    for table in (expiring_memberships, memberships):
        await tx.execute(table.delete().where(table.c.user_id == user_id, table.c.group_id == group_id))


async def _provision(tx: Connection, app: Identity, idp: IdentityProvider, user: User, found: Mapped) -> None:
    """Projects that the rules give to somebody, made if they are not there, with roles on them."""
    if not found.projects:
        return
    graph = await app.contexts.role_graph(tx)
    by_name = {role.name: role for role in graph.roles.values() if role.domain_id is None}
    for wanted in found.projects:
        domain = await projects.find(tx, await _domain_id(tx, wanted.domain) or idp.domain_id)
        if domain is None or not wanted.name or len(wanted.name) > 64:
            raise Refused(reason=f"The project {wanted.name:.80} of the mapping cannot be made.")
        project = await projects.find_by_name(tx, domain.id, wanted.name)
        if project is None:
            project = new_project(new_hex(), wanted.name, domain)
            await projects.add(tx, project)
        for asked in wanted.roles:
            if asked.name not in by_name:
                raise Refused(reason=f"There is no role {asked.name:.80}, which the mapping gives.")
            grant = roles.assignment(user_id=user.id, target_id=project.id, role_id=by_name[asked.name].id)
            if await roles.assign(tx, grant):
                await app.announce(tx, f"user:{user.id}")


async def end_memberships(tx: Connection, app: Identity) -> None:
    """Those whose time is over."""
    query = sa.select(expiring_memberships.c.user_id, expiring_memberships.c.group_id).where(
        expiring_memberships.c.expires_at <= app.clock())
    for row in list(await tx.execute(query.limit(500))):
        await drop_membership(tx, row.user_id, row.group_id)
        await app.announce(tx, f"user:{row.user_id}")


def page_with(origin: str, token: str) -> str:
    """A form that sends itself: a token must be in no address."""
    return f"""<!DOCTYPE html>
<html><head><meta charset="utf-8"><title>Signing in</title></head>
<body><form id="sso" name="sso" action="{html.escape(origin)}" method="post">
<input type="hidden" name="token" value="{html.escape(token)}">
<noscript><input type="submit" value="Continue"></noscript></form>
<script>document.getElementById("sso").submit()</script></body></html>
"""
