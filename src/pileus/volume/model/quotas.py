"""Quotas: limits of projects, also per volume type, and what is used of them, counted from rows."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Collision, Connection
from pileus.volume.config import VolumeConfig
from pileus.volume.faults import QuotaExceeded, TooLargeVolume
from pileus.volume.model.tables import backups, groups, quotas, snapshots, types, volumes

CLASS = "class:default"            # in place of a project: limits of all projects that have none of their own
_TURN = "(turn)"                   # a row that is only ever locked
NAMES = {"volumes": "VolumeLimitExceeded", "gigabytes": "VolumeSizeExceedsAvailableQuota",
         "snapshots": "SnapshotLimitExceeded", "backups": "BackupLimitExceeded",
         "backup_gigabytes": "VolumeBackupSizeExceedsAvailableQuota", "groups": "GroupLimitExceeded"}
PER_TYPE = ("volumes", "gigabytes", "snapshots")


def built_in(config: VolumeConfig) -> dict[str, int]:
    return {"volumes": config.volumes, "snapshots": config.snapshots, "gigabytes": config.gigabytes,
            "backups": config.backups, "backup_gigabytes": config.backup_gigabytes, "groups": 10,
            "per_volume_gigabytes": -1}


async def limits(conn: Connection, config: VolumeConfig, project_id: str) -> dict[str, int]:
    """By resource, `volumes_TYPE` and so on among them. Two queries."""
    names = await db.scalars(conn, sa.select(types.c.name))
    found = built_in(config) | {f"{resource}_{name}": -1 for name in names for resource in PER_TYPE}
    rows = (await conn.execute(sa.select(quotas.c.project_id, quotas.c.resource, quotas.c.hard_limit).where(
        quotas.c.project_id.in_([CLASS, project_id]), quotas.c.resource != _TURN))).all()
    for place in (CLASS, project_id):
        found |= {row.resource: row.hard_limit for row in rows if row.project_id == place and row.resource in found}
    return found


async def usage(conn: Connection, project_id: str) -> dict[str, int]:
    """What is used, by resource. Four queries on indexes."""
    found: dict[str, int] = dict.fromkeys(("volumes", "snapshots", "gigabytes", "backups", "backup_gigabytes", "groups",
                           "per_volume_gigabytes"), 0)
    for table, count in ((volumes, "volumes"), (snapshots, "snapshots")):
        for row in await conn.execute(
                sa.select(types.c.name, sa.func.count().label("number"), sa.func.sum(table.c.size_gb).label("size"))
                .join(types, types.c.id == table.c.type_id).where(table.c.project_id == project_id)
                .group_by(types.c.name)):
            for suffix in ("", f"_{row.name}"):
                found[count + suffix] = found.get(count + suffix, 0) + row.number
                found["gigabytes" + suffix] = found.get("gigabytes" + suffix, 0) + int(row.size or 0)
    held = sa.select(sa.func.count().label("number"), sa.func.sum(backups.c.size_gb).label("size"))
    row = (await conn.execute(held.where(backups.c.project_id == project_id))).one()
    found["backups"], found["backup_gigabytes"] = row.number, int(row.size or 0)
    found["groups"] = await db.scalar(conn, sa.select(sa.func.count()).where(groups.c.project_id == project_id))
    return found


async def must_fit(tx: Connection, config: VolumeConfig, project_id: str, more: Mapping[str, int],
                   type_name: str | None = None) -> None:
    """Refuse what would be too much: `more` by resource. What follows in the transaction is counted by the next one."""
    await take_turn(tx, project_id)
    limit, used = await limits(tx, config, project_id), await usage(tx, project_id)
    wanted = dict(more)
    if type_name is not None:
        wanted |= {f"{name}_{type_name}": value for name, value in more.items() if name in PER_TYPE}
    for name, value in wanted.items():
        most = limit.get(name, -1)
        if 0 <= most < used.get(name, 0) + value:
            resource = name.removesuffix(f"_{type_name}")
            raise QuotaExceeded(code_name=NAMES[resource], what="volume or snapshot", resource=name, wanted=value,
                                limit=most, used=used.get(name, 0))


async def must_fit_one(conn: Connection, config: VolumeConfig, project_id: str, size_gb: int) -> None:
    most = (await limits(conn, config, project_id))["per_volume_gigabytes"]
    if 0 <= most < size_gb:
        raise TooLargeVolume(size=size_gb, limit=most)


async def take_turn(tx: Connection, project_id: str) -> None:
    """Let the transactions that count and then add, of one project, happen one after the other."""
    key = (quotas.c.project_id == project_id, quotas.c.resource == _TURN)
    found = await tx.execute(sa.select(quotas.c.hard_limit).where(*key).with_for_update())
    if found.first() is None:
        try:
            await tx.execute(quotas.insert().values(project_id=project_id, resource=_TURN, hard_limit=0))
        except db.Taken as error:
            raise Collision(str(error)) from error


async def set_limits(tx: Connection, project_id: str, changes: Mapping[str, int]) -> None:
    await take_turn(tx, project_id)
    if changes:
        await tx.execute(quotas.delete().where(quotas.c.project_id == project_id,
                                               quotas.c.resource.in_(list(changes))))
        await tx.execute(quotas.insert(), [{"project_id": project_id, "resource": name, "hard_limit": limit}
                                           for name, limit in changes.items()])


async def forget_limits(tx: Connection, project_id: str) -> None:
    await tx.execute(quotas.delete().where(quotas.c.project_id == project_id, quotas.c.resource != _TURN))
