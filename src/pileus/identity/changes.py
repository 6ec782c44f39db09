"""What other identity processes changed reaches this one within a second; what nobody needs any more goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pileus.identity import feed
from pileus.identity.federation import people
from pileus.identity.model import revocations
from pileus.kit.reconcile import reconciler

if TYPE_CHECKING:
    from pileus.identity.runtime import Identity


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
async def forget_old_revocations(app: Identity) -> None:
    async with app.db.write() as tx:
        await revocations.prune(tx, app.clock())
