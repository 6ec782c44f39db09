"""What a fresh cloud's volume service holds; doing it again changes only what differs."""

from __future__ import annotations

from pileus.kit import db
from pileus.kit.ids import new_uuid
from pileus.volume.model import groups, quotas, types
from pileus.volume.model.groups import GroupType
from pileus.volume.model.tables import group_types
from pileus.volume.model.types import VolumeType
from pileus.volume.runtime import Volumes

UNLIMITED = ("volumes", "gigabytes", "snapshots", "backups", "backup_gigabytes")


async def bootstrap(app: Volumes, *, admin_project: str) -> None:
    """The default type, the type of groups whose snapshots are consistent, no limits for administrators."""
    async with app.db.write() as tx:
        await types.ensure_default(tx, VolumeType(
            id=new_uuid(), name=app.config.default_type, description="Default Volume Type", created_at=app.clock()))
        if await groups.find_type(tx, groups.DEFAULT_NAME) is None:
            await db.add(tx, group_types, GroupType(
                id=new_uuid(), name=groups.DEFAULT_NAME, created_at=app.clock(),
                description="Default group type for migrating cgsnapshot",
                group_specs={"consistent_group_snapshot_enabled": "<is> True"}))
        await quotas.set_limits(tx, admin_project, dict.fromkeys(UNLIMITED, -1))
