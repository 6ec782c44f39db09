"""Tasks: how imports went, for those who asked for them."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.image import faults
from pileus.image.model.tables import tasks
from pileus.kit import db
from pileus.kit.db import Connection

PENDING, PROCESSING, SUCCESS, FAILURE = "pending", "processing", "success", "failure"


class Task(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    type: str
    status: str = PENDING
    owner: str | None
    user_id: str | None
    request_id: str
    image_id: str
    input: dict[str, Any]
    result: dict[str, Any] | None = None
    message: str | None = None
    created_at: float
    updated_at: float
    generation: int = 1


async def get(conn: Connection, task_id: str) -> Task:
    found = await db.one(conn, sa.select(tasks).where(tasks.c.id == task_id), Task)
    if found is None:
        raise faults.TaskNotFound(task_id=task_id)
    return found


async def of_image(conn: Connection, image_id: str) -> list[Task]:
    """The newest of them."""
    return await db.many(conn, sa.select(tasks).where(tasks.c.image_id == image_id).order_by(
        tasks.c.created_at.desc()).limit(100), Task)


async def page(conn: Connection, *, where: list[sa.ColumnElement[bool]], limit: int, marker: str | None,
               ) -> list[Task]:
    """At most one more than `limit`, the newest first."""
    order: list[tuple[sa.ColumnElement[Any], bool]] = [(tasks.c.created_at, True), (tasks.c.id, True)]
    wanted = sa.select(tasks).where(*where)
    if marker is not None:
        after = await get(conn, marker)
        wanted = wanted.where(db.after(order, [after.created_at, after.id]))
    return await db.many(conn, wanted.order_by(*db.ordered(order)).limit(limit + 1), Task)


async def add(tx: Connection, task: Task) -> None:
    await db.add(tx, tasks, task)


async def tell(tx: Connection, task_id: str, now: float, **values: Any) -> None:
    """Write what became of the task; nothing, if it was forgotten."""
    await tx.execute(tasks.update().where(tasks.c.id == task_id).values(updated_at=now, **values))
