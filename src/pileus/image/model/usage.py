"""How much a project keeps, and how much of it it may."""

from __future__ import annotations

from collections.abc import Mapping

import sqlalchemy as sa

from pileus.image import faults
from pileus.image.model.images import IMPORTING, SAVING, UPLOADING
from pileus.image.model.tables import images
from pileus.kit.db import Connection

UNLIMITED = -1
MIB = 1 << 20
SIZE, STAGED, COUNT, COMING = "image_size_total", "image_stage_total", "image_count_total", "image_count_uploading"
RESOURCES = (SIZE, STAGED, COUNT, COMING)           # the sizes in MiB, begun ones counted whole


async def of(conn: Connection, owner: str | None) -> dict[str, int]:
    status = images.c.status
    row = (await conn.execute(sa.select(
        sa.func.count(),
        sa.func.coalesce(sa.func.sum(sa.case((status == UPLOADING, 0), else_=images.c.size)), 0),
        sa.func.coalesce(sa.func.sum(sa.case((status == UPLOADING, images.c.size), else_=0)), 0),
        sa.func.coalesce(sa.func.sum(sa.case((status.in_((SAVING, UPLOADING, IMPORTING)), 1), else_=0)), 0),
    ).where(images.c.owner == owner))).one()
    count, size, staged, coming = (int(each) for each in row)
    return {SIZE: -(-size // MIB), STAGED: -(-staged // MIB), COUNT: count, COMING: coming}


async def must_fit(conn: Connection, owner: str | None, limits: Mapping[str, int], **more: int) -> None:
    """Raises TooBig when `more` of a resource goes beyond its limit. What comes with no size told counts as none, so a
    project that is just full may bring one more, and is beyond its limit then."""
    limited = {name: limits[name] for name in more if limits.get(name, UNLIMITED) != UNLIMITED}
    if not limited:
        return
    used = await of(conn, owner)
    for name, limit in limited.items():
        if used[name] + more[name] > limit:
            raise faults.TooBig(reason=f"Project {owner} is over a limit for [Resource {name} is over limit of {limit}"
                                f" due to current usage {used[name]} and delta {more[name]}]")


async def room(conn: Connection, owner: str | None, limits: Mapping[str, int]) -> int | None:
    """Bytes a project may still bring; None: as many as it likes."""
    limit = limits.get(SIZE, UNLIMITED)
    return None if limit == UNLIMITED else max(0, limit - (await of(conn, owner))[SIZE]) * MIB
