"""What a server takes of its host, as placement counts it: of flavor and image, in groups; pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from pileus.compute.guest_topology import BadHardware, pinned_cpus
from pileus.compute.model.servers import FlavorCopy, Server
from pileus.kit.numbers import digits
from pileus.placement.client import Group

Words = Mapping[str, str]
RESOURCE = re.compile(r"resources([a-zA-Z0-9_-]{0,64}):([A-Z0-9_]+)")
TRAIT = re.compile(r"trait([a-zA-Z0-9_-]{0,64}):([A-Z0-9_]+)")
THREADS = "HW_CPU_HYPERTHREADING"
PCI = "CUSTOM_PCI_"                       # then the alias of a kind of device, as a name of placement
MACHINE = ("VCPU", "PCPU", "MEMORY_MB", "DISK_GB")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """By suffix: that of the empty one any providers of the host may give, each other one by one provider."""

    groups: dict[str, Group]
    policy: str = "none"                  # isolate: each group has a provider of its own
    together: tuple[tuple[str, ...], ...] = ()        # suffixes; one of their providers is above the others

    @property
    def is_plain(self) -> bool:
        return not self.groups.keys() - {""}

    @property
    def plain(self) -> Group:
        return self.groups.get("", Group())

    @property
    def total(self) -> dict[str, int]:
        """Of each resource class, whoever gives it."""
        found: dict[str, int] = {}
        for group in self.groups.values():
            for name, amount in group.resources.items():
                found[name] = found.get(name, 0) + amount
        return found


def asked_by(server: Server) -> Asked:
    """The volume that a server boots from is on no host."""
    return asked_of(server.flavor, server.image.properties if server.image else {},
                    has_root_disk=server.image is not None)


def asked_of(flavor: FlavorCopy, image: Words, *, has_root_disk: bool = True) -> Asked:
    """What the flavor says of a resource class counts before what follows from its sizes; 0 is none of it."""
    disk = (flavor.disk_gb if has_root_disk else 0) + flavor.ephemeral_gb + -(-flavor.swap_mb // 1024)
    amounts: dict[str, dict[str, int]] = {
        "": _processors(flavor, image) | {"MEMORY_MB": flavor.memory_mb, "DISK_GB": disk} | _devices(flavor)}
    required, forbidden = _threads(flavor, image)
    said = dict.fromkeys(required, "required") | dict.fromkeys(forbidden, "forbidden")
    traits: dict[str, dict[str, str]] = {"": said}
    for key, value in (*image.items(), *flavor.extra_specs.items()):
        if (found := TRAIT.fullmatch(key)) and value in ("required", "forbidden"):
            traits.setdefault(found[1], {})[found[2]] = value
    for key, value in flavor.extra_specs.items():
        if (found := RESOURCE.fullmatch(key)) and (amount := digits(value)) is not None:
            amounts.setdefault(found[1], {})[found[2]] = amount
    groups = {suffix: _group({name: amount for name, amount in amounts.get(suffix, {}).items() if amount},
                             traits.get(suffix, {})) for suffix in sorted(amounts.keys() | traits.keys())}
    return Asked(groups=groups, policy=flavor.extra_specs.get("group_policy", "none"))


def _group(resources: dict[str, int], traits: dict[str, str]) -> Group:
    said = {word: tuple(sorted(name for name, value in traits.items() if value == word))
            for word in ("required", "forbidden")}
    return Group(resources=resources, required=said["required"], forbidden=said["forbidden"])


def _processors(flavor: FlavorCopy, image: Words) -> dict[str, int]:
    """Those that get one of the host each are counted apart from those that share."""
    try:
        own = len(pinned_cpus(image, flavor.extra_specs, flavor.vcpus))
    except BadHardware:                   # such a server is refused before it is made
        own = 0
    emulator = flavor.extra_specs.get("hw:emulator_threads_policy") == "isolate" and own > 0
    return {"VCPU": flavor.vcpus - own, "PCPU": own + emulator}


def _threads(flavor: FlavorCopy, image: Words) -> tuple[list[str], list[str]]:
    """(required, forbidden) traits of a policy for the threads of a core."""
    policy = flavor.extra_specs.get("hw:cpu_thread_policy") or image.get("hw_cpu_thread_policy")
    return [THREADS] if policy == "require" else [], [THREADS] if policy == "isolate" else []


def devices_of(flavor: Words) -> dict[str, int]:
    """How many of each kind of device are passed through, by alias: gpu:1, card:2."""
    found: dict[str, int] = {}
    for part in flavor.get("pci_passthrough:alias", "").split(","):
        alias, _, count = part.strip().rpartition(":")
        if alias and (number := digits(count)) is not None:
            found[alias] = found.get(alias, 0) + number
    return found


def device_class(alias: str) -> str:
    """The resource class under which placement counts devices of an alias."""
    return PCI + re.sub(r"[^A-Z0-9]", "_", alias.upper())


def _devices(flavor: FlavorCopy) -> dict[str, int]:
    return {device_class(alias): count for alias, count in devices_of(flavor.extra_specs).items()}
