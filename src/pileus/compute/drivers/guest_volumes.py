"""Volumes as QEMU is told of them: NBD exports that are reconnected to. Pure, as the rest of the command line is."""

from __future__ import annotations

from pathlib import Path

from pileus.compute.drivers.base import GuestVolume
from pileus.compute.drivers.qemu_launch import BadSpec

RECONNECT_SECONDS = 60               # for which a guest waits for a server that went away, before it sees an error
TLS = "volumes-tls"
JsonObject = dict[str, object]
# Of a guest's volumes: their requests do not wait for the lock of QEMU's main thread, which emulated processors hold.
IO_THREAD: JsonObject = {"qom-type": "iothread", "id": "volumes"}


def device_id(volume_id: str) -> str:
    return f"volume-{volume_id}"


def node_name(volume_id: str) -> str:
    """At most 31 characters long, as QEMU wants it."""
    return f"v{volume_id.replace('-', '')[:30]}"


def node(volume: GuestVolume) -> JsonObject:
    found: JsonObject = {"driver": "nbd", "node-name": node_name(volume.volume_id), "export": volume.export,
                         "discard": "unmap", "reconnect-delay": RECONNECT_SECONDS, "read-only": volume.read_only}
    if volume.address:
        return found | {"server": {"type": "inet", "host": volume.address, "port": str(volume.port)}, "tls-creds": TLS}
    return found | {"server": {"type": "unix", "path": volume.socket}}


def tls_object(certificates: Path | None) -> JsonObject:
    """By which a guest shows who its host is, and knows the other one. Raises BadSpec where the host has none."""
    if certificates is None:
        raise BadSpec("volumes of other hosts are out of reach: this host has no certificate")
    return {"qom-type": "tls-creds-x509", "id": TLS, "dir": str(certificates), "endpoint": "client",
            "verify-peer": True}


def device(volume: GuestVolume) -> JsonObject:
    """Without its place on the bus. Guests see the first 20 characters of the serial."""
    found: JsonObject = {"driver": "virtio-blk-pci", "drive": node_name(volume.volume_id), "serial": volume.volume_id,
                         "iothread": IO_THREAD["id"]}
    if volume.boot_order is not None:
        found["bootindex"] = volume.boot_order + 1
    return found
