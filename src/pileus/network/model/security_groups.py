"""Security groups, their rules, and the default group every project gets when it first uses the network."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.ids import new_uuid
from pileus.network import faults
from pileus.network.group_rules import normalized
from pileus.network.model import default_rules, statefulness
from pileus.network.model.base import Row, chunks, metadata, standard_columns
from pileus.network.model.ports import port_groups

projects = sa.Table(
    "project", metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("default_group_id", sa.String(36), nullable=False),
)
security_groups = sa.Table(
    "security_group", metadata, *standard_columns("security_group"),
    sa.Column("stateful", sa.Boolean, nullable=False),
    sa.Column("default_of", sa.String(64), unique=True),
)
rules = sa.Table(
    "security_group_rule", metadata, *standard_columns("security_group_rule"),
    sa.Column("security_group_id", sa.String(36), sa.ForeignKey("security_group.id", ondelete="CASCADE"),
              nullable=False),
    sa.Column("direction", sa.String(8), nullable=False),
    sa.Column("ethertype", sa.String(8), nullable=False),
    sa.Column("protocol", sa.String(40)),
    sa.Column("port_range_min", sa.Integer),
    sa.Column("port_range_max", sa.Integer),
    sa.Column("remote_ip_prefix", sa.String(64)),
    sa.Column("remote_group_id", sa.String(36), sa.ForeignKey("security_group.id", ondelete="CASCADE"), index=True),
    sa.Column("remote_address_group_id", sa.String(36), sa.ForeignKey("address_group.id"), index=True),
    sa.Column("meaning", sa.String(255), nullable=False),
    sa.UniqueConstraint("security_group_id", "meaning"),
)


class SecurityGroup(Row, frozen=True, kw_only=True):
    """`default_of` is the project whose default group it is: a project has at most one."""

    stateful: bool = True
    default_of: str | None = None


class Rule(Row, frozen=True, kw_only=True):
    """`meaning` is all that decides about packets in one text, so that the same rule is not there twice."""

    security_group_id: str
    direction: str
    ethertype: str = "IPv4"
    protocol: str | None = None
    port_range_min: int | None = None
    port_range_max: int | None = None
    remote_ip_prefix: str | None = None
    remote_group_id: str | None = None
    remote_address_group_id: str | None = None
    meaning: str = ""


def meaning_of(rule: Rule) -> str:
    parts = (rule.direction, rule.ethertype, rule.protocol, rule.port_range_min, rule.port_range_max,
             normalized(rule.remote_ip_prefix), rule.remote_group_id, *filter(None, [rule.remote_address_group_id]))
    return " ".join("-" if part is None else str(part) for part in parts)


def new_rule(group: SecurityGroup, now: float, **facts: Any) -> Rule:
    rule = Rule(id=new_uuid(), project_id=group.project_id, created_at=now, updated_at=now,
                security_group_id=group.id, **facts)
    return msgspec.structs.replace(rule, meaning=meaning_of(rule))


async def first_rules(conn: Connection, group: SecurityGroup, now: float) -> list[Rule]:
    """What a new group begins with, as the templates say."""
    found = []
    for template in await default_rules.for_groups(conn, default=group.default_of is not None):
        said = {name: getattr(template, name) for name in default_rules.SAID}
        if template.remote_group_id == default_rules.PARENT:
            said["remote_group_id"] = group.id
        found.append(new_rule(group, now, description=template.description, **said))
    return list({rule.meaning: rule for rule in found}.values())


_HELD = sa.select(projects.c.default_group_id).where(projects.c.id == sa.bindparam("project")).with_for_update()


async def project(tx: Connection, project_id: str, now: float) -> str:
    """Hold the project for the rest of the transaction, so that its quotas are counted by one at a time, and
    return the id of its default group, made on first use. Two who make it at once: one is run again (Collision)."""
    found = await db.scalar(tx, _HELD, project=project_id)
    if found is not None:
        return found
    group = SecurityGroup(id=new_uuid(), project_id=project_id, name="default", description="Default security group",
                          created_at=now, updated_at=now, default_of=project_id,
                          stateful=await statefulness.of_project(tx, project_id))
    try:
        await tx.execute(projects.insert().values(id=project_id, default_group_id=group.id))
        await db.add(tx, security_groups, group)
    except db.Taken as error:
        raise db.Collision(f"the default group of {project_id} is being made") from error
    await db.add(tx, rules, *await first_rules(tx, group, now))
    return group.id


async def get(conn: Connection, security_group_id: str) -> SecurityGroup:
    row = await db.one(
        conn, sa.select(security_groups).where(security_groups.c.id == security_group_id), SecurityGroup)
    if row is None:
        raise faults.GroupNotFound(security_group_id=security_group_id)
    return row


async def get_rule(conn: Connection, security_group_rule_id: str) -> Rule:
    row = await db.one(conn, sa.select(rules).where(rules.c.id == security_group_rule_id), Rule)
    if row is None:
        raise faults.RuleNotFound(security_group_rule_id=security_group_rule_id)
    return row


async def rules_of(conn: Connection, group_ids: Iterable[str]) -> dict[str, list[Rule]]:
    found: dict[str, list[Rule]] = defaultdict(list)
    for part in chunks(group_ids):
        query = sa.select(rules).where(rules.c.security_group_id.in_(part)).order_by(rules.c.created_at, rules.c.id)
        for row in await db.many(conn, query, Rule):
            found[row.security_group_id].append(row)
    return found


async def by_ids(conn: Connection, ids: Iterable[str]) -> dict[str, SecurityGroup]:
    return {row.id: row for part in chunks(sorted(set(ids))) for row in await db.many(
        conn, sa.select(security_groups).where(security_groups.c.id.in_(part)), SecurityGroup)}


async def is_used(conn: Connection, group_id: str) -> bool:
    return await db.scalar(conn, sa.select(port_groups.c.port_id).where(
        port_groups.c.security_group_id == group_id).limit(1)) is not None
