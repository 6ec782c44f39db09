"""Logs: whose packets, let through or dropped by security groups, hosts write down."""

from __future__ import annotations

from collections import defaultdict

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.network import log_faults
from pileus.network.model.base import Row, metadata, standard_columns
from pileus.network.model.ports import Port

SECURITY_GROUP = "security_group"
ACCEPT, DROP, ALL = "ACCEPT", "DROP", "ALL"
logs = sa.Table(
    "log", metadata, *standard_columns("log"),
    sa.Column("resource_type", sa.String(255), nullable=False),
    sa.Column("resource_id", sa.String(36), sa.ForeignKey("security_group.id", ondelete="CASCADE"), index=True),
    sa.Column("target_id", sa.String(36), sa.ForeignKey("port.id", ondelete="CASCADE"), index=True),
    sa.Column("event", sa.String(16), nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False),
)


class Log(Row, frozen=True, kw_only=True):
    """Of the ports in a group (`resource_id`), of one port (`target_id`), of both, or of all of its project's."""

    resource_type: str = SECURITY_GROUP
    resource_id: str | None = None
    target_id: str | None = None
    event: str = ALL
    enabled: bool = True


async def get(conn: Connection, log_id: str) -> Log:
    row = await db.one(conn, sa.select(logs).where(logs.c.id == log_id), Log)
    if row is None:
        raise log_faults.LogNotFound(log_id=log_id)
    return row


class Wanted(msgspec.Struct, frozen=True):
    """The logs that are on, by what they name."""

    of_port: dict[str, list[Log]]
    of_group: dict[str, list[Log]]
    of_project: dict[str, list[Log]]

    def events(self, port: Port, group_ids: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The ids of those that want what is accepted of this port's packets, and what is dropped."""
        if not (self.of_port or self.of_group or self.of_project) or port.device_owner.startswith("network:"):
            return (), ()
        found = [*self.of_port.get(port.id, ()), *self.of_project.get(port.project_id, ())]
        found += [row for group_id in group_ids for row in self.of_group.get(group_id, ())]
        named = {row.id: row for row in found if row.resource_id is None or row.resource_id in group_ids}
        return (tuple(sorted(i for i, row in named.items() if row.event in (ACCEPT, ALL))),
                tuple(sorted(i for i, row in named.items() if row.event in (DROP, ALL))))


async def wanted(conn: Connection) -> Wanted:
    found = Wanted(defaultdict(list), defaultdict(list), defaultdict(list))
    for row in await db.many(conn, sa.select(logs).where(logs.c.enabled).order_by(logs.c.id), Log):
        if row.target_id is not None:
            found.of_port[row.target_id].append(row)
        elif row.resource_id is not None:
            found.of_group[row.resource_id].append(row)
        else:
            found.of_project[row.project_id].append(row)
    return found
