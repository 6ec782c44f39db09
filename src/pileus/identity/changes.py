"""What other identity processes changed reaches this one within a second; what nobody needs any more goes."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pileus.identity import feed
from pileus.identity.federation import people
from pileus.identity.model import revocations, used_once
from pileus.kit.reconcile import reconciler

if TYPE_CHECKING:
    from pileus.identity.runtime import Identity

log = logging.getLogger(__name__)
DAY = 86_400.0


@reconciler(every=0.8)
async def hear_of_changes(app: Identity) -> None:
    async with app.db.read() as reader:
        if app.heard is None:
            app.heard = await revocations.position(reader)
            app.feed.publish([feed.EVERYTHING])
            return
        found = await revocations.since(reader, app.heard)
    if found:
        app.heard = found[-1].seq
        app.feed.publish([change.subject for change in found])


@reconciler(every=30)
async def end_federated_memberships(app: Identity) -> None:
    async with app.db.write() as tx:
        await people.end_memberships(tx, app)


@reconciler(every=3600)
async def rotate_keys(app: Identity) -> None:
    """Tokens stay good: keys are forgotten only once nothing that they signed can be valid."""
    if app.config.key_days and app.keys.rotate(app.ends(0.0), older_than=app.config.key_days * DAY):
        log.info("the token keys were rotated")


@reconciler(every=3600)
async def forget_old_revocations(app: Identity) -> None:
    async with app.db.write() as tx:
        await revocations.prune(tx, app.clock())
        await used_once.prune(tx, app.clock())
