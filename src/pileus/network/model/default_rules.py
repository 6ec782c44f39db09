"""Templates of the rules that new security groups begin with."""

from __future__ import annotations

import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.network import faults
from pileus.network.model.base import Row, metadata, standard_columns

PARENT = "PARENT"            # as remote group: the group the rule is made for
default_rules = sa.Table(
    "default_security_group_rule", metadata, *standard_columns("default_security_group_rule"),
    sa.Column("direction", sa.String(8), nullable=False),
    sa.Column("ethertype", sa.String(8), nullable=False),
    sa.Column("protocol", sa.String(40)),
    sa.Column("port_range_min", sa.Integer),
    sa.Column("port_range_max", sa.Integer),
    sa.Column("remote_ip_prefix", sa.String(64)),
    sa.Column("remote_group_id", sa.String(36)),
    sa.Column("remote_address_group_id", sa.String(36), sa.ForeignKey("address_group.id")),
    sa.Column("used_in_default_sg", sa.Boolean, nullable=False),
    sa.Column("used_in_non_default_sg", sa.Boolean, nullable=False),
    sa.Column("meaning", sa.String(255), nullable=False, unique=True),
)
SAID = ("direction", "ethertype", "protocol", "port_range_min", "port_range_max", "remote_ip_prefix",
        "remote_group_id", "remote_address_group_id")


class DefaultRule(Row, frozen=True, kw_only=True):
    """`meaning` is all it says in one text, so that the same template is not there twice."""

    direction: str
    ethertype: str = "IPv4"
    protocol: str | None = None
    port_range_min: int | None = None
    port_range_max: int | None = None
    remote_ip_prefix: str | None = None
    remote_group_id: str | None = None
    remote_address_group_id: str | None = None
    used_in_default_sg: bool = False
    used_in_non_default_sg: bool = True
    meaning: str = ""


def meaning_of(row: DefaultRule) -> str:
    """Of the groups that begin with the rule there are two kinds; those of all kinds are said as they always were."""
    said = " ".join("-" if (value := getattr(row, name)) is None else str(value) for name in SAID)
    if row.used_in_default_sg and row.used_in_non_default_sg:
        return said
    return said + (" default" if row.used_in_default_sg else " others" if row.used_in_non_default_sg else " none")


async def get(conn: Connection, default_security_group_rule_id: str) -> DefaultRule:
    row = await db.one(conn, sa.select(default_rules).where(
        default_rules.c.id == default_security_group_rule_id), DefaultRule)
    if row is None:
        raise faults.DefaultRuleNotFound(default_security_group_rule_id=default_security_group_rule_id)
    return row


async def for_groups(conn: Connection, *, default: bool) -> list[DefaultRule]:
    c = default_rules.c
    used = c.used_in_default_sg if default else c.used_in_non_default_sg
    return await db.many(conn, sa.select(default_rules).where(used).order_by(c.created_at, c.id), DefaultRule)


async def same_as(conn: Connection, row: DefaultRule) -> str | None:
    """The template that says the same for some of the same kinds of groups."""
    c = default_rules.c
    said = [c[name].is_(None) if getattr(row, name) is None else c[name] == getattr(row, name) for name in SAID]
    kinds = [used for used, wanted in ((c.used_in_default_sg, row.used_in_default_sg),
                                       (c.used_in_non_default_sg, row.used_in_non_default_sg)) if wanted]
    same = sa.or_(*kinds) if kinds else sa.and_(~c.used_in_default_sg, ~c.used_in_non_default_sg)
    return await db.scalar(conn, sa.select(c.id).where(*said, same).limit(1))
