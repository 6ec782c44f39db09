"""What a port needs of a host, in the words of placement."""

from __future__ import annotations

import uuid
from collections import defaultdict
from typing import Any

from pileus.network.guarantees import BANDWIDTH, PACKETS, TUNNELS, trait
from pileus.network.model.port_sides import Least
from pileus.network.model.qos import LEAST_BANDWIDTH, LEAST_PACKETS

CLASSES = {LEAST_BANDWIDTH: BANDWIDTH, LEAST_PACKETS: PACKETS}


def group_id(port_id: str, kind: str) -> str:
    """The same whatever the policy is: what a port was given stays its own when it is given more of it."""
    return str(uuid.uuid5(uuid.UUID(port_id), kind))


def resources(promised: list[Least]) -> dict[str, int]:
    return {CLASSES[each.kind][each.direction]: each.most for each in promised}


def resource_request(port_id: str, vnic_type: str, least: list[Least]) -> dict[str, Any] | None:
    """One group per kind of minimum, out of one host: equal for equal input. None where nothing is promised."""
    if not least:
        return None
    by_kind: dict[str, list[Least]] = defaultdict(list)
    for each in least:
        by_kind[each.kind].append(each)
    groups = []
    for kind, promised in sorted(by_kind.items()):
        required = [trait("VNIC_TYPE", vnic_type)]
        if kind == LEAST_BANDWIDTH:
            physical = promised[0].physical
            required.insert(0, trait("PHYSNET", physical) if physical else TUNNELS)
        groups.append({"id": group_id(port_id, kind), "required": required, "resources": resources(promised)})
    return {"request_groups": groups, "same_subtree": [group["id"] for group in groups]}

