"""What ports were given of their hosts in placement follows when other policies are to be obeyed."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any

from pileus.kit.db import Connection
from pileus.kit.web import Ctx
from pileus.network import policy_faults
from pileus.network.binding import ALLOCATION
from pileus.network.model.networks import Network
from pileus.network.model.port_sides import Least, is_promised, minima_of
from pileus.network.model.ports import Port
from pileus.network.model.qos import LEAST_BANDWIDTH, LEAST_PACKETS, QosRule
from pileus.network.placement_request import group_id, resources
from pileus.placement.client import Conflict

if TYPE_CHECKING:
    from pileus.network.runtime import Network as Service

Change = dict[str, dict[str, int]]                # provider -> resource class -> so much more, or less
KINDS = (LEAST_BANDWIDTH, LEAST_PACKETS)


@contextlib.asynccontextmanager
async def kept(ctx: Ctx, network: Network, wanted: Sequence[tuple[Port, str | None]]) -> AsyncIterator[dict[str, Any]]:
    """Tells placement that ports on `network` are to obey these policies, and yields their new profiles. What
    was told is taken back unless the block ends well. A port that was given nothing of a kind when it was bound gets
    nothing of it now: its host was not chosen for that. Raises QosPromiseRefused."""
    service: Service = ctx.app
    changes: list[tuple[str, Change]] = []
    profiles: dict[str, dict[str, Any]] = {}
    async with ctx.db.read() as reader:
        for port, policy_id in wanted:
            given: dict[str, str] = port.profile.get(ALLOCATION) or {}
            profiles[port.id] = port.profile
            if given and service.placement is not None and port.device_owner.startswith("compute:"):
                had = await minima_of(reader, port.qos_policy_id or network.qos_policy_id, network.physical_network)
                wants = await minima_of(reader, policy_id, network.physical_network)
                changes.append((port.device_id, _difference(port.id, given, had, wants)))
                left = {group_id(port.id, each.kind) for each in wants} & given.keys()
                profiles[port.id] = port.profile | {ALLOCATION: {each: given[each] for each in sorted(left)}}
    told: list[tuple[str, Change]] = []
    well = False
    try:
        for consumer_id, change in changes:
            await _tell(service, consumer_id, change)
            told.append((consumer_id, change))
        yield profiles
        well = True
    finally:
        for consumer_id, change in [] if well else told:
            await _tell(service, consumer_id, {provider: {name: -amount for name, amount in amounts.items()}
                                               for provider, amounts in change.items()})


def _difference(port_id: str, given: dict[str, str], had: list[Least], wants: list[Least]) -> Change:
    found: Change = defaultdict(dict)
    for kind in KINDS:
        provider = given.get(group_id(port_id, kind))
        before, after = (resources([each for each in least if each.kind == kind]) for least in (had, wants))
        for name in (before | after) if provider else ():
            if difference := after.get(name, 0) - before.get(name, 0):
                found[str(provider)][name] = difference
    return found


async def _tell(service: Service, consumer_id: str, change: Change) -> None:
    if not change or service.placement is None:
        return
    try:
        await service.placement.add_to_claim(consumer_id, change)
    except Conflict as error:
        raise policy_faults.QosPromiseRefused(consumer_id=consumer_id, reason=str(error)) from error


async def must_not_be_promised(tx: Connection, rule: QosRule) -> None:
    """Minima of a policy stay as they are while ports have them. Raises QosPromiseKept."""
    if rule.kind in KINDS and await is_promised(tx, rule.policy_id):
        raise policy_faults.QosPromiseKept(policy_id=rule.policy_id)
