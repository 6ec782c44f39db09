"""Users, groups, and who is in which."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.identity.faults import Missing
from pileus.identity.model.tables import groups, memberships, users
from pileus.kit import db
from pileus.kit.db import Connection


class User(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    domain_id: str
    name: str
    enabled: bool = True
    default_project_id: str | None = None
    password_hash: str | None = None
    password_changed_at: float | None = None
    options: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    created_at: float = 0.0
    password_expires_at: float | None = None
    generation: int = 1


class Group(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    domain_id: str
    name: str
    description: str = ""
    extra: dict[str, Any] = {}
    generation: int = 1


_BY_ID = sa.select(users).where(users.c.id == sa.bindparam("id"))
_BY_NAME = sa.select(users).where(users.c.domain_id == sa.bindparam("domain_id"), users.c.name == sa.bindparam("name"))


async def find(conn: Connection, user_id: str) -> User | None:
    return await db.one(conn, _BY_ID, User, id=user_id)


async def get(conn: Connection, user_id: str) -> User:
    row = await find(conn, user_id)
    if row is None:
        raise Missing(kind="user", id=user_id)
    return row


async def find_by_name(conn: Connection, domain_id: str, name: str) -> User | None:
    return await db.one(conn, _BY_NAME, User, domain_id=domain_id, name=name)


async def get_group(conn: Connection, group_id: str) -> Group:
    row = await db.one(conn, sa.select(groups).where(groups.c.id == group_id), Group)
    if row is None:
        raise Missing(kind="group", id=group_id)
    return row


async def is_member(conn: Connection, group_id: str, user_id: str) -> bool:
    query = sa.select(memberships.c.user_id).where(memberships.c.group_id == group_id, memberships.c.user_id == user_id)
    return await db.scalar(conn, query) is not None
