"""Placement knows what each host can guarantee to ports, as providers below the host's own."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pileus.kit.client import Refused, Unreachable
from pileus.kit.reconcile import reconciler
from pileus.network.guarantees import Guarantees, below, providers
from pileus.placement.client import Conflict, PlacementClient

if TYPE_CHECKING:
    from pileus.network.runtime import Network

log = logging.getLogger(__name__)
AGAIN = 1.0                  # seconds until a host that compute has not told of yet is looked for again


@reconciler(every=60.0)
async def guarantees(network: Network) -> None:
    placement = network.placement
    if placement is None:
        return
    for host, has in list(network.has.items()):
        if network.published.get(host) == has:
            continue
        try:
            if await publish(placement, host, has):
                network.published[host] = has
            else:
                network.reconcilers.wake("guarantees", after=AGAIN)
        except (Refused, Unreachable, Conflict) as error:
            log.warning("placement was not told what the host can guarantee: %s", error, extra={"host": host})


async def publish(placement: PlacementClient, host: str, has: Guarantees) -> bool:
    """Whether that was possible, or there is nothing to tell: the host's own provider is compute's to make. What is
    used of a provider that is no more keeps it."""
    tree = await placement.tree(host)
    if not tree:
        return has == Guarantees()
    wanted = providers(host, tree[0].id, has)
    for each in wanted:
        await placement.ensure_provider(each.id, each.name, parent=each.parent)
        await placement.set_inventory(each.id, each.inventories)
        await placement.set_traits(each.id, each.traits)
    kept = {each.id for each in wanted}
    gone = [each for each in tree if each.name.startswith(below(host)) and each.id not in kept]
    for each in sorted(gone, key=lambda each: -len(each.name)):
        await placement.remove_provider(each.id)
    return True
