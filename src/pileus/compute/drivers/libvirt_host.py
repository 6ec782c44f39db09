"""A host of the libvirt driver: its settings, what it has to give, and what is known of each of its guests."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import msgspec

from pileus.compute.drivers import host_facts
from pileus.compute.drivers.base import HostFacts
from pileus.compute.drivers.guest_folder import GuestFolder
from pileus.compute.drivers.host_shares import HostShares
from pileus.compute.drivers.libvirt_domain import EMULATED, Kind


class LibvirtSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One host. `sockets` is a folder with a short path, for what listens of each guest; `daemon` that of a libvirtd of
    our own, which is started again when it is gone."""

    instances: Path
    sockets: Path
    hostname: str
    uri: str = "qemu:///system"
    kind: Kind = "qemu"
    daemon: Path | None = None
    namespace: Path | None = None
    raw_disks: bool = False
    dedicated_cpus: frozenset[int] = frozenset()  # of the host, for guests that want processors of their own
    nodes: Path = host_facts.NODES


class Domain:
    """What is known of a guest while this process lives. The lock is held while something is done to it."""

    def __init__(self, folder: GuestFolder) -> None:
        self.folder = folder
        self.lock = asyncio.Lock()

    @property
    def id(self) -> str:
        return self.folder.id


def facts_of(settings: LibvirtSettings, version: str, shares: HostShares) -> HostFacts:
    """`version` is the hypervisor's."""
    total, free = host_facts.disk_gb(settings.instances)
    return HostFacts(
        hostname=settings.hostname, hypervisor_type="QEMU" if settings.kind in EMULATED else settings.kind.upper(),
        hypervisor_version=version, vcpus=host_facts.vcpus(), memory_mb=host_facts.memory_mb(), disk_gb=total,
        disk_free_gb=free, accel="kvm" if settings.kind == "kvm" else "tcg" if settings.kind == "qemu" else "none",
        cpu=host_facts.cpu_description(), booted_at=host_facts.booted_at(), threads=host_facts.threads(),
        dedicated_cpus=len(settings.dedicated_cpus & os.sched_getaffinity(0)), cells=shares.cells())  # fmt: skip
