"""Every content in the store belongs to an image, and no image waits for an upload that has ended."""

from __future__ import annotations

import sqlalchemy as sa

from pileus.image.model import images, tables
from pileus.image.model.images import IMPORTING, NO_DATA, QUEUED, SAVING, Image
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
            await app.forget(image.data_id)


@reconciler(every=600)
async def orphaned_data(app: Images) -> None:
    for store in app.stores.values():
        await store.sweep(OLD_ENOUGH)
        found = await store.contents(OLD_ENOUGH)
        for first in range(0, len(found), 500):
            some = found[first:first + 500]
            async with app.db.read() as reader:
                found_images = await db.many(reader, sa.select(tables.images).where(sa.or_(
                    tables.images.c.data_id.in_(some), tables.images.c.made_id.in_(some))), Image)
            known = {name: each for each in found_images for name in (each.data_id, each.made_id)}
            for data_id in some:
                if data_id not in known or not _belongs(known[data_id], store.name):
                    await store.remove(data_id)


def _belongs(image: Image, store: str) -> bool:
    """Also while an upload or an import may be bringing it there."""
    return image.status in (SAVING, IMPORTING) or bool(image.importing_to) or store in image.kept_in
