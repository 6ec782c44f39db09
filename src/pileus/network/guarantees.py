"""What hosts can guarantee to ports, and the providers of placement that say so."""

from __future__ import annotations

import re
from typing import Annotated
from uuid import UUID, uuid5

import msgspec

from pileus.kit.config import doc
from pileus.kit.numbers import INT_MAX
from pileus.placement.client import Inventory

Rate = Annotated[int, msgspec.Meta(ge=0, le=INT_MAX)]
AGENT = "Network agent"
TUNNELS = "CUSTOM_NETWORK_TUNNEL_PROVIDER"         # the trait of whoever carries overlay networks
BANDWIDTH = {"egress": "NET_BW_EGR_KILOBIT_PER_SEC", "ingress": "NET_BW_IGR_KILOBIT_PER_SEC"}
PACKETS = {"egress": "NET_PACKET_RATE_EGR_KILOPACKET_PER_SEC", "ingress": "NET_PACKET_RATE_IGR_KILOPACKET_PER_SEC",
           "any": "NET_PACKET_RATE_KILOPACKET_PER_SEC"}


class Bandwidth(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """In kilobits per second; 0 is none."""

    egress: Rate = 0
    ingress: Rate = 0


class PacketRate(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """In thousands of packets per second: of both directions, or where a host can tell them apart, of each."""

    any: Rate = 0
    egress: Rate = 0
    ingress: Rate = 0


class Guarantees(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    physical: Annotated[dict[str, Bandwidth], doc("Bandwidth of each host on physical networks, by their names.")] = {}
    overlay: Annotated[Bandwidth, doc("Bandwidth of each host between hosts.")] = Bandwidth()
    packets: Annotated[PacketRate, doc("Packets that each host can switch.")] = PacketRate()


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """One that has to be in placement, below its parent."""

    id: str
    name: str
    parent: str
    inventories: dict[str, Inventory]
    traits: list[str]


def trait(kind: str, value: str) -> str:
    """As PHYSNET or VNIC_TYPE of placement."""
    return f"CUSTOM_{kind}_" + re.sub("[^A-Z0-9_]", "_", value.upper())


def below(host: str) -> str:
    """What the names of the providers of a host begin with."""
    return f"{host}:{AGENT}"


def providers(host: str, root: str, has: Guarantees) -> list[Provider]:
    """Of a host whose own provider is `root`; parents first. The agent's has the packets, and one below it per network
    the bandwidth: what a port is promised of both is from one agent."""
    normal = trait("VNIC_TYPE", "normal")
    agent = Provider(id=str(uuid5(UUID(root), AGENT)), name=below(host), parent=root, traits=[normal],
                     inventories=_inventories(PACKETS, has.packets))
    networks = [(f":{name}", trait("PHYSNET", name), rates) for name, rates in sorted(has.physical.items())]
    networks.append((" (tunnels)", TUNNELS, has.overlay))
    found = [Provider(id=str(uuid5(UUID(agent.id), name)), name=agent.name + name, parent=agent.id,
                      traits=[network, normal], inventories=_inventories(BANDWIDTH, rates))
             for name, network, rates in networks if rates != Bandwidth()]
    return [agent, *found] if found or agent.inventories else []


def _inventories(classes: dict[str, str], rates: Bandwidth | PacketRate) -> dict[str, Inventory]:
    totals = {classes[direction]: amount for direction, amount in msgspec.structs.asdict(rates).items() if amount}
    return {name: Inventory(total=total, max_unit=total) for name, total in totals.items()}
