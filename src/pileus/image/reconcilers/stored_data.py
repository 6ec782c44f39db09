"""Every content in the store belongs to an image, and no image waits for an upload that has ended."""

from __future__ import annotations

import sqlalchemy as sa

from pileus.image.model import images, tables
from pileus.image.model.images import NO_DATA, QUEUED, SAVING, Image
from pileus.image.runtime import Images
from pileus.kit import db
from pileus.kit.reconcile import reconciler

OLD_ENOUGH = 3600.0             # seconds; an upload that goes on is younger


@reconciler(every=60)
async def abandoned_uploads(app: Images) -> None:
    now = app.clock()
    async with app.db.read() as reader:
        waiting = await db.many(reader, sa.select(tables.images).where(
            tables.images.c.status == SAVING, tables.images.c.busy_until < now), Image)
    for image in waiting:
        try:
            async with app.db.write() as tx:
                await images.change(tx, image, now, **NO_DATA | {"status": QUEUED, "busy_until": 0.0})
        except db.Stale:
            continue                                 # somebody begins anew or deletes it
        if image.data_id:
            await app.store.remove(image.data_id)


@reconciler(every=600)
async def orphaned_data(app: Images) -> None:
    await app.store.sweep(OLD_ENOUGH)
    found = await app.store.contents(OLD_ENOUGH)
    for first in range(0, len(found), 500):
        some = found[first:first + 500]
        async with app.db.read() as reader:
            known = set(await db.scalars(reader, sa.select(tables.images.c.data_id).where(
                tables.images.c.data_id.in_(some))))
        for data_id in some:
            if data_id not in known:
                await app.store.remove(data_id)
