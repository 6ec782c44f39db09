"""What the ports of a server are promised, which its host has to have: asked of the network, claimed in placement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from pileus.compute.asked_resources import Asked
from pileus.compute.runtime import Compute
from pileus.network.client import Port
from pileus.placement.client import Group, Part, Request, suffix_of

ALLOCATION = "allocation"


class PortNeed(msgspec.Struct, frozen=True, kw_only=True):
    """`profile` is that of the port before it was bound anew."""

    port_id: str
    parts: list[Part]
    profile: dict[str, Any] = {}

    @property
    def sentence(self) -> str:
        amounts = [f"{name}:{amount}" for part in self.parts for name, amount in part.resources.items()]
        traits = sorted({name for part in self.parts for name in part.required})
        return f"{', '.join(amounts)} ({', '.join(traits)}) for port {self.port_id}"


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What is claimed of a host and of the providers below it, and which of them gives which part."""

    resources: dict[str, dict[str, int]]
    providers: dict[str, str] = {}


async def of_ports(compute: Compute, port_ids: Iterable[str]) -> list[PortNeed]:
    """Of those that are promised anything."""
    ids = sorted(port_ids)
    ports = await compute.network.ports(id=ids) if ids else []
    return [PortNeed(port_id=port.id, parts=_parts(port), profile=port.profile)
            for port in ports if port.resource_request is not None]


def _parts(port: Port) -> list[Part]:
    asked = port.resource_request
    return [] if asked is None else [
        Part(id=group.id, resources=group.resources, required=group.required,
             together=asked.same_subtree if group.id in asked.same_subtree else []) for group in asked.request_groups]


def parts_of(needs: Iterable[PortNeed]) -> list[Part]:
    return [part for need in needs for part in need.parts]


def added(asked: Asked, needs: Iterable[PortNeed]) -> Asked:
    """With a group for each part."""
    parts = parts_of(needs)
    groups = {part.suffix: Group(resources=part.resources, required=tuple(part.required)) for part in parts}
    together = {tuple(sorted(suffix_of(each) for each in part.together)) for part in parts if len(part.together) > 1}
    return msgspec.structs.replace(asked, groups=asked.groups | groups, together=tuple(sorted(together)))


def share_of(request: Request, needs: Iterable[PortNeed]) -> Share:
    return Share(resources=request.resources,
                 providers={part.id: request.provider_of(part) for part in parts_of(needs)})


def profiles_of(needs: Iterable[PortNeed], share: Share | None) -> dict[str, dict[str, Any]]:
    """By port, the profile that tells the network who gives what; without a share, the profile of before."""
    if share is None:
        return {need.port_id: need.profile for need in needs}
    return {need.port_id: need.profile | {ALLOCATION: {part.id: share.providers[part.id] for part in need.parts}}
            for need in needs}


def resources_at(port: Port) -> dict[str, dict[str, int]]:
    """What a bound port was given, by provider."""
    given: Mapping[str, str] = port.profile.get(ALLOCATION) or {}
    found: dict[str, dict[str, int]] = {}
    for part in _parts(port):
        if part.id in given:
            of_provider = found.setdefault(given[part.id], {})
            for name, amount in part.resources.items():
                of_provider[name] = of_provider.get(name, 0) + amount
    return found
