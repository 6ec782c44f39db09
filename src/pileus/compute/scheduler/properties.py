"""Filters that compare what flavor, image and project say with what hosts and their aggregates say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pileus.compute.model.hosts import version_number
from pileus.compute.scheduler import specs as operators
from pileus.compute.scheduler.columns import Columns, HostState, Mask, Rows, attribute
from pileus.compute.scheduler.wishes import Wish

CAPABILITY, OF_AGGREGATE, TRAIT = "capabilities:", "aggregate_instance_extra_specs:", "trait:"
TENANT, FLAVOR = "filter_tenant_id", "instance_type"
ARCHITECTURES = {"amd64": "x86_64", "x64": "x86_64", "i386": "i686", "i486": "i686", "i586": "i686", "x86": "i686",
                 "arm64": "aarch64", "ppc64el": "ppc64le"}
RUNS_TOO = {"x86_64": {"i686"}, "aarch64": {"armv7l"}}          # architectures whose guests another one runs
MACHINES = ("hvm", "hv")
MODES = {"lxc": ("exe",)}                                        # of hypervisors whose guests are no machines
HYPERVISORS = {"qemu": {"qemu", "kvm"}, "kvm": {"qemu", "kvm"}}  # what the drivers of a type run


# -- aggregates ---------------------------------------------------------------------------------------------------

def isolated(hosts: Columns, wish: Wish) -> Mask | None:
    """Images that are isolated run on isolated hosts, and nothing else does."""
    if not wish.isolated_hosts and not wish.isolated_images:
        return None
    there = hosts.named(wish.isolated_hosts)
    return there if wish.image_id in wish.isolated_images else ~there


def isolated_why(hosts: Columns, rows: Rows, wish: Wish) -> str:
    if wish.image_id in wish.isolated_images:
        return f"its image runs on isolated hosts only; {hosts.names(rows)} are not."
    return f"{hosts.names(rows)} are kept for isolated images; its image is not one."


def _keys(hosts: Columns, start: str) -> list[str]:
    return sorted(key for key in hosts.metadata_keys() if key.startswith(start))


def tenants(hosts: Columns, wish: Wish) -> Mask | None:
    """Hosts of an aggregate that names projects (filter_tenant_id, also with something behind it) are for those."""
    keys = _keys(hosts, TENANT)
    if not keys:
        return None
    return hosts.where(TENANT, lambda host: _projects(host, keys), lambda named: not named or wish.project_id in named)


def _projects(host: HostState, keys: list[str]) -> frozenset[str]:
    return frozenset(each.strip() for key in keys for value in host.metadata.get(key, ()) for each in value.split(","))


def tenants_why(hosts: Columns, rows: Rows, wish: Wish) -> str:
    return (f"{hosts.names(rows)} are in an aggregate that is for other projects ({TENANT}), not for "
            f"{wish.project_id}.")


def _words(values: tuple[str, ...]) -> set[str]:
    return {each.strip() for value in values for each in value.split(",")}


def flavors(hosts: Columns, wish: Wish) -> Mask | None:
    if FLAVOR not in hosts.metadata_keys():
        return None
    return hosts.with_metadata(FLAVOR, lambda values: not values or wish.flavor in _words(values))


def flavors_why(hosts: Columns, rows: Rows, wish: Wish) -> str:
    only = ", ".join(sorted(_words(hosts.hosts[int(rows[0])].metadata[FLAVOR])))
    return f"{hosts.names(rows)} are in an aggregate for the flavors {only} ({FLAVOR}), not for {wish.flavor}."


def images(hosts: Columns, wish: Wish) -> Mask | None:
    """Where an aggregate and the image both say a property, they must say the same."""
    both = sorted(set(wish.properties) & hosts.metadata_keys())
    if not both:
        return None
    mask = np.ones(len(hosts), dtype=np.bool_)
    for key in both:
        mask &= hosts.with_metadata(key, lambda values, key=key: not values or wish.properties[key] in _words(values))
    return mask


def images_why(hosts: Columns, rows: Rows, wish: Wish) -> str:
    host = hosts.hosts[int(rows[0])]
    key = next(key for key in sorted(wish.properties) if key in host.metadata
               and wish.properties[key] not in _words(host.metadata[key]))
    return (f"its image has {key}={wish.properties[key]}, and {hosts.names(rows)} are in an aggregate for "
            f"{key}={', '.join(sorted(_words(host.metadata[key])))}.")


def _asked(wish: Wish, start: str) -> list[tuple[str, str]]:
    return sorted((key.removeprefix(start), value) for key, value in wish.extra_specs.items() if key.startswith(start))


def specs(hosts: Columns, wish: Wish) -> Mask | None:
    asked = _asked(wish, OF_AGGREGATE)
    if not asked:
        return None
    mask = np.ones(len(hosts), dtype=np.bool_)
    for key, wanted in asked:
        mask &= hosts.with_metadata(key, _any_matches(wanted))
    return mask


def _any_matches(wanted: str) -> Callable[[tuple[str, ...]], bool]:
    return lambda values: any(operators.matches(value, wanted) for value in values)


def specs_why(hosts: Columns, rows: Rows, wish: Wish) -> str:
    host = hosts.hosts[int(rows[0])]
    key, wanted = next((key, wanted) for key, wanted in _asked(wish, OF_AGGREGATE)
                       if not _any_matches(wanted)(host.metadata.get(key, ())))
    has = ", ".join(host.metadata.get(key, ())) or "nothing"
    return (f"the flavor asks for an aggregate with {key} {wanted}; those of {hosts.names(rows)} have not "
            f"({host.name}: {has}).")


def traits(hosts: Columns, wish: Wish) -> Mask | None:
    """Hosts of an aggregate with trait:X=required are for flavors and images that require the trait."""
    keys = _keys(hosts, TRAIT)
    if not keys:
        return None
    return hosts.where(TRAIT, lambda host: _kept_for(host, keys), lambda kept: kept <= set(wish.required))


def _kept_for(host: HostState, keys: list[str]) -> frozenset[str]:
    return frozenset(key.removeprefix(TRAIT) for key in keys if "required" in host.metadata.get(key, ()))


def traits_why(hosts: Columns, rows: Rows, wish: Wish) -> str:
    first = _kept_for(hosts.hosts[int(rows[0])], _keys(hosts, TRAIT))
    return (f"{hosts.names(rows)} are in an aggregate for servers that require "
            f"{', '.join(sorted(first - set(wish.required)))}; neither flavor nor image does.")


# -- what hosts are -----------------------------------------------------------------------------------------------

def capabilities(hosts: Columns, wish: Wish) -> Mask | None:
    asked = _asked(wish, CAPABILITY)
    if not asked:
        return None
    mask = np.ones(len(hosts), dtype=np.bool_)
    for path, wanted in asked:
        mask &= hosts.where(path, lambda host, path=path: attribute(host, path),
                            lambda value, wanted=wanted: operators.matches(value, wanted))
    return mask


def capabilities_why(hosts: Columns, rows: Rows, wish: Wish) -> str:
    host = hosts.hosts[int(rows[0])]
    path, wanted = next((path, wanted) for path, wanted in _asked(wish, CAPABILITY)
                        if not operators.matches(attribute(host, path), wanted))
    has = attribute(host, path)
    return (f"the flavor asks for hosts whose {path} is {wanted}; that of {host.name} is "
            f"{'not known' if has is None else has}{f', and so of {len(rows) - 1} more' if len(rows) > 1 else ''}.")


def _architecture(name: str) -> str:
    return ARCHITECTURES.get(name.lower(), name.lower())


def _runs(host: HostState) -> tuple[str, str, str]:
    return _architecture(str(host.facts.cpu.get("arch", ""))), host.facts.hypervisor_type.lower(), \
        host.facts.hypervisor_version


def _of_image(wish: Wish) -> dict[str, str]:
    """What the image says of where it runs, under the newest names."""
    said = wish.properties
    found = {"hw_architecture": said.get("hw_architecture") or said.get("architecture"),
             "img_hv_type": said.get("img_hv_type") or said.get("hypervisor_type"),
             "hw_vm_mode": said.get("hw_vm_mode") or said.get("vm_mode"),
             "img_hv_requested_version": said.get("img_hv_requested_version")
             or said.get("hypervisor_version_requires")}
    return {name: value for name, value in found.items() if value}


def _lacks(runs: tuple[str, str, str], name: str, wanted: str) -> bool:
    architecture, hypervisor, version = runs
    if name == "hw_architecture":
        asked = _architecture(wanted)
        return bool(architecture) and asked != architecture and asked not in RUNS_TOO.get(architecture, ())
    if name == "img_hv_type":
        return wanted.lower() not in HYPERVISORS.get(hypervisor, {hypervisor})
    if name == "hw_vm_mode":
        return wanted.lower() not in MODES.get(hypervisor, MACHINES)
    return not all(_version_fits(version, part.strip()) for part in wanted.split(","))


def _version_fits(version: str, wanted: str) -> bool:
    has, asked = version_number(version), version_number(wanted.lstrip("<>=!"))
    return {"<": has < asked, ">": has > asked, "<=": has <= asked, ">=": has >= asked, "!=": has != asked}.get(
        wanted[:len(wanted) - len(wanted.lstrip("<>=!"))], has == asked)


def supported(hosts: Columns, wish: Wish) -> Mask | None:
    asked = _of_image(wish)
    if not asked:
        return None
    return hosts.where("runs", _runs, lambda runs: not any(_lacks(runs, *each) for each in asked.items()))


def supported_why(hosts: Columns, rows: Rows, wish: Wish) -> str:
    host = hosts.hosts[int(rows[0])]
    runs = _runs(host)
    name, wanted = next(each for each in _of_image(wish).items() if _lacks(runs, *each))
    has = {"hw_architecture": runs[0], "img_hv_type": runs[1], "hw_vm_mode": MODES.get(runs[1], MACHINES)[0]}.get(
        name, f"version {runs[2]}")
    more = f", and so do {len(rows) - 1} more" if len(rows) > 1 else ""
    return f"its image asks for {name} {wanted}; {host.name} has {has}{more}."
