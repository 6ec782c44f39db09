"""Metering labels: what of a project's routed traffic is counted."""

from __future__ import annotations

import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.network import faults
from pileus.network.model.base import Row, metadata, standard_columns

labels = sa.Table(
    "metering_label", metadata, *standard_columns("metering_label"),
    sa.Column("shared", sa.Boolean, nullable=False),
)
rules = sa.Table(
    "metering_label_rule", metadata, *standard_columns("metering_label_rule"),
    sa.Column("metering_label_id", sa.String(36), sa.ForeignKey("metering_label.id", ondelete="CASCADE"),
              nullable=False, index=True),
    sa.Column("direction", sa.String(8), nullable=False),
    sa.Column("remote_ip_prefix", sa.String(64)),
    sa.Column("source_ip_prefix", sa.String(64)),
    sa.Column("destination_ip_prefix", sa.String(64)),
    sa.Column("excluded", sa.Boolean, nullable=False),
)


class Label(Row, frozen=True, kw_only=True):
    """Counts at its project's routers; `shared`, at everybody's."""

    shared: bool = False


class LabelRule(Row, frozen=True, kw_only=True):
    metering_label_id: str
    direction: str = "ingress"
    remote_ip_prefix: str | None = None
    source_ip_prefix: str | None = None
    destination_ip_prefix: str | None = None
    excluded: bool = False


async def get(conn: Connection, metering_label_id: str) -> Label:
    row = await db.one(conn, sa.select(labels).where(labels.c.id == metering_label_id), Label)
    if row is None:
        raise faults.MeteringLabelNotFound(metering_label_id=metering_label_id)
    return row


async def get_rule(conn: Connection, metering_label_rule_id: str) -> LabelRule:
    row = await db.one(conn, sa.select(rules).where(rules.c.id == metering_label_rule_id), LabelRule)
    if row is None:
        raise faults.MeteringRuleNotFound(metering_label_rule_id=metering_label_rule_id)
    return row
