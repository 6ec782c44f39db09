"""Quality of service: how fast ports, networks' ports and floating IPs may send and get."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.network import policy_faults
from pileus.network.model.base import Row, chunks, metadata, standard_columns

BANDWIDTH, DSCP, PACKETS = "bandwidth_limit", "dscp_marking", "packet_rate_limit"
LEAST_BANDWIDTH, LEAST_PACKETS = "minimum_bandwidth", "minimum_packet_rate"
KINDS = (BANDWIDTH, DSCP, PACKETS, LEAST_BANDWIDTH, LEAST_PACKETS)
LEAST_OF = {BANDWIDTH: LEAST_BANDWIDTH, PACKETS: LEAST_PACKETS}      # what a limit must leave room for
policies = sa.Table(
    "qos_policy", metadata, *standard_columns("qos_policy"),
    sa.Column("default_of", sa.String(64), unique=True),
)
rules = sa.Table(
    "qos_rule", metadata, *standard_columns("qos_rule"),
    sa.Column("policy_id", sa.String(36), sa.ForeignKey("qos_policy.id", ondelete="CASCADE"), nullable=False),
    sa.Column("kind", sa.String(24), nullable=False),
    sa.Column("direction", sa.String(8), nullable=False),
    sa.Column("most", sa.Integer, nullable=False),
    sa.Column("burst", sa.Integer, nullable=False),
    sa.UniqueConstraint("policy_id", "kind", "direction"),
)


class QosPolicy(Row, frozen=True, kw_only=True):
    """`default_of` is the project whose new networks get it: a project has at most one."""

    default_of: str | None = None


class QosRule(Row, frozen=True, kw_only=True):
    """`most` is in kilobits or kilopackets per second (`burst` in kilobits, kilopackets), or the mark itself. Minima
    are told to who places ports; nothing on a host makes them so."""

    policy_id: str
    kind: str
    direction: str = "egress"
    most: int = 0
    burst: int = 0


async def get(conn: Connection, policy_id: str) -> QosPolicy:
    row = await db.one(conn, sa.select(policies).where(policies.c.id == policy_id), QosPolicy)
    if row is None:
        raise policy_faults.QosPolicyNotFound(policy_id=policy_id)
    return row


async def get_rule(conn: Connection, policy_id: str, rule_id: str) -> QosRule:
    row = await db.one(conn, sa.select(rules).where(rules.c.id == rule_id, rules.c.policy_id == policy_id), QosRule)
    if row is None:
        raise policy_faults.QosRuleNotFound(policy_id=policy_id, rule_id=rule_id)
    return row


async def rules_of(conn: Connection, policy_ids: Iterable[str] | None = None) -> dict[str, list[QosRule]]:
    """Of these policies, or of all."""
    found: dict[str, list[QosRule]] = defaultdict(list)
    query = sa.select(rules).order_by(rules.c.created_at, rules.c.id)
    queries = [query] if policy_ids is None else [query.where(rules.c.policy_id.in_(p)) for p in chunks(policy_ids)]
    for one in queries:
        for row in await db.many(conn, one, QosRule):
            found[row.policy_id].append(row)
    return found


_DEFAULT_OF = sa.select(policies.c.id).where(policies.c.default_of == sa.bindparam("project"))


async def default_for(conn: Connection, project_id: str) -> str | None:
    return await db.scalar(conn, _DEFAULT_OF, project=project_id)


async def find_rule(conn: Connection, rule_id: str, kind: str) -> QosRule:
    row = await db.one(conn, sa.select(rules).where(rules.c.id == rule_id, rules.c.kind == kind), QosRule)
    if row is None:
        raise policy_faults.QosRuleUnknown(rule_id=rule_id)
    return row
