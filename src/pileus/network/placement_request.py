"""What a port needs of a host, in the words of placement."""

from __future__ import annotations

import re
import uuid
from collections import defaultdict
from typing import Any

from pileus.network.model.port_sides import Least
from pileus.network.model.qos import LEAST_BANDWIDTH

NAMES = {("minimum_bandwidth", "egress"): "NET_BW_EGR_KILOBIT_PER_SEC",
         ("minimum_bandwidth", "ingress"): "NET_BW_IGR_KILOBIT_PER_SEC",
         ("minimum_packet_rate", "egress"): "NET_PACKET_RATE_EGR_KILOPACKET_PER_SEC",
         ("minimum_packet_rate", "ingress"): "NET_PACKET_RATE_IGR_KILOPACKET_PER_SEC",
         ("minimum_packet_rate", "any"): "NET_PACKET_RATE_KILOPACKET_PER_SEC"}


def resource_request(port_id: str, vnic_type: str, least: list[Least]) -> dict[str, Any] | None:
    """One group per kind of minimum, out of one host: equal for equal input. None where nothing is promised."""
    by_kind: dict[str, list[Least]] = defaultdict(list)
    for each in least:
        by_kind[each.kind].append(each)
    groups = []
    for kind, promised in sorted(by_kind.items()):
        required = [_trait("VNIC_TYPE", vnic_type)]
        if kind == LEAST_BANDWIDTH and promised[0].physical:
            required.insert(0, _trait("PHYSNET", promised[0].physical))
        groups.append({
            "id": str(uuid.uuid5(uuid.UUID(port_id), kind)), "required": required,
            "resources": {NAMES[each.kind, each.direction]: each.most for each in promised}})
    if not groups:
        return None
    return {"request_groups": groups, "same_subtree": [group["id"] for group in groups]}


def _trait(kind: str, value: str) -> str:
    return f"CUSTOM_{kind}_" + re.sub("[^A-Z0-9_]", "_", value.upper())
