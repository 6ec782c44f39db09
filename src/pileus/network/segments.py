"""Of which type networks are, and which number they get on the wire."""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.network import faults
from pileus.network.config import NetworkConfig
from pileus.network.model import segment_ranges
from pileus.network.model.networks import Network, networks, segment_of

MOST = {"vlan": 4094, "vxlan": 16777215}
TRIES = 8
USED = sa.select(networks.c.segment).where(networks.c.segment.in_(sa.bindparam("segments", expanding=True)))


def must_be_sound(config: NetworkConfig, kind: str, physical: str | None, number: int | None) -> None:
    """Raise what is wrong with a network of this type, physical network and number."""
    if kind not in ("vxlan", "flat", "vlan"):
        raise faults.InvalidInput(reason=f"network_type value '{kind}' not supported")
    if kind == "flat" and (physical is None or number is not None):
        raise faults.InvalidInput(reason="a flat network needs physical_network and no segmentation_id")
    if kind == "vlan" and physical is None and number is not None:
        raise faults.InvalidInput(reason="segmentation_id requires physical_network for VLAN provider network")
    if physical is not None and kind != "vxlan" and physical not in config.physical_networks:
        raise faults.InvalidInput(reason=f"physical_network '{physical}' unknown for {kind} provider network")
    if kind == "vxlan" and physical is not None:
        raise faults.InvalidInput(reason="provider:physical_network specified for vxlan network")
    if number is not None and kind in MOST and not 1 <= number <= MOST[kind]:
        raise faults.InvalidInput(reason=f"segmentation_id {number} is not between 1 and {MOST[kind]}")


async def numbered(tx: Connection, config: NetworkConfig, rows: Sequence[Network]) -> list[Network]:
    """The networks with numbers that no other has. Raises NoNetworkAvailable."""
    taken: set[str] = set()
    found: list[Network] = []
    for row in rows:
        bare = row.segmentation_id is None and row.network_type in MOST
        row = await _given(tx, config, row, taken) if bare else msgspec.structs.replace(      # noqa: PLW2901
            row, segment=segment_of(row.network_type, row.physical_network, row.segmentation_id))
        taken.add(row.segment)
        found.append(row)
    return found


async def vni(tx: Connection, config: NetworkConfig, project_id: str) -> int:
    """For an overlay network of the project."""
    row = Network(id="", project_id=project_id, created_at=0.0, updated_at=0.0)
    return (await numbered(tx, config, [row]))[0].segmentation_id or 0


async def _given(tx: Connection, config: NetworkConfig, row: Network, taken: set[str]) -> Network:
    """Out of a range of the project's own, else of one for all, else as the settings say: but nothing of what is
    another range's of a single project."""
    kind = row.network_type
    every = await segment_ranges.of_kind(tx, kind, row.physical_network)
    own = [each for each in every if not each.shared]
    places = [(each.physical_network, each.minimum, each.maximum, False) for each in own
              if each.project_id == row.project_id]
    places += [(each.physical_network, each.minimum, each.maximum, True) for each in every if each.shared]
    places += [(each.physical_network, each.minimum, each.maximum, True) for each in segment_ranges.defaults(config)
               if each.network_type == kind and row.physical_network in (None, each.physical_network)]
    for physical, first, last, open_to_all in places:
        kept = [(each.minimum, each.maximum) for each in own
                if open_to_all and each.physical_network == physical]
        number = await _free(tx, (kind, physical), (first, last), kept, taken)
        if number is not None:
            return msgspec.structs.replace(row, physical_network=physical, segmentation_id=number,
                                           segment=segment_of(kind, physical, number))
    raise faults.NoNetworkAvailable()


async def _free(tx: Connection, place: tuple[str, str | None], among: tuple[int, int], kept: list[tuple[int, int]],
                taken: set[str]) -> int | None:
    """Drawn at random first, so that two who ask at once hardly get the same; at last, one after the other."""
    kind, physical = place
    first, last = among

    def is_open(number: int) -> bool:
        return segment_of(kind, physical, number) not in taken and not any(a <= number <= b for a, b in kept)
    for _ in range(TRIES):
        drawn = [number for number in random.sample(range(first, last + 1), min(last - first + 1, 8))
                 if is_open(number)]
        segments = [segment_of(kind, physical, number) for number in drawn]
        used = set(await db.scalars(tx, USED, segments=segments))
        for number, segment in zip(drawn, segments, strict=True):
            if segment not in used:
                return number
    query = sa.select(networks.c.segment).where(networks.c.network_type == kind)
    used = set(await db.scalars(tx, query))
    return next((number for number in range(first, last + 1)
                 if is_open(number) and segment_of(kind, physical, number) not in used), None)
