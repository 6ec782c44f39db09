"""Doors: how other hosts reach a volume, by NBD over TCP with TLS, both ends known by certificates of the cloud's own.

A door is a second qemu-storage-daemon, a client of the socket that servers of this host use. It comes back to that by
itself, and servers elsewhere come back to the door, always at the same port.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import msgspec

from pileus.volume.drivers import processes
from pileus.volume.drivers.base import Export
from pileus.volume.drivers.processes import DaemonFailed

PID, STATE = "door-pid", "door.json"
PORTS = range(61000, 65536)               # above those that Linux gives to clients
TRIES = 20                                # to find one that is free
RECONNECT_SECONDS = 60                    # for which servers wait for whoever serves the volume


class Street(msgspec.Struct, frozen=True):
    """Where the doors of a node are: its address, the network namespace that has it, and the node's certificates."""

    address: str
    certificates: Path
    namespace: Path | None = None


class _Kept(msgspec.Struct, frozen=True):
    port: int
    read_only: bool


class Door:
    """Of one volume; `run` is the volume's folder on this node."""

    def __init__(self, run: Path, street: Street):
        self.run, self.street = run, street

    @property
    def is_open(self) -> bool:
        return processes.living(self.run / PID) is not None

    @property
    def is_lost(self) -> bool:
        """Whether it was opened, and is not open."""
        return self._kept() is not None and not self.is_open

    def _kept(self) -> _Kept | None:
        try:
            return msgspec.json.decode((self.run / STATE).read_bytes(), type=_Kept)
        except FileNotFoundError:
            return None

    async def open(self, export: Export, *, read_only: bool) -> Export:
        """The same export, with the door's address. Open already: no more than that."""
        kept = self._kept()
        if kept is None or kept.read_only != read_only or not self.is_open:
            kept = await self._start(export, kept, read_only=read_only)
        return msgspec.structs.replace(export, address=self.street.address, port=kept.port)

    async def open_again(self, export: Export) -> None:
        """After the volume has grown, which the door does not hear of. Not open: do nothing."""
        kept = self._kept()
        if kept is not None and self.is_open:
            await self._start(export, kept, read_only=kept.read_only)

    async def _start(self, export: Export, kept: _Kept | None, *, read_only: bool) -> _Kept:
        await processes.end(self.run / PID)
        for port in self._ports(kept):
            wanted = _Kept(port, read_only)
            self._keep(wanted)
            try:
                await processes.launch(self._command(export, wanted))
                return wanted
            except DaemonFailed as error:
                if "Address already in use" not in str(error):
                    raise
        raise DaemonFailed(f"no port is free at {self.street.address}")

    def _keep(self, wanted: _Kept) -> None:
        fresh = self.run / f"{STATE}.new"
        fresh.write_bytes(msgspec.json.encode(wanted))
        fresh.replace(self.run / STATE)

    @staticmethod
    def _ports(kept: _Kept | None) -> Iterator[int]:
        if kept is not None:
            yield kept.port
        yield from random.sample(PORTS, TRIES)

    def _command(self, export: Export, wanted: _Kept) -> list[str]:
        inside = ["nsenter", f"--net={self.street.namespace}", "--"] if self.street.namespace else []
        volume = {"driver": "nbd", "node-name": "volume", "export": export.name, "discard": "unmap",
                  "server": {"type": "unix", "path": export.socket}, "reconnect-delay": RECONNECT_SECONDS,
                  "read-only": wanted.read_only}
        tls = {"qom-type": "tls-creds-x509", "id": "tls", "dir": str(self.street.certificates), "endpoint": "server",
               "verify-peer": True}
        server = {"addr": {"type": "inet", "host": self.street.address, "port": str(wanted.port)},
                  "tls-creds": "tls", "max-connections": 0}
        served = {"type": "nbd", "id": "volume", "node-name": "volume", "name": export.name,
                  "writable": not wanted.read_only}
        words = (("--blockdev", volume), ("--object", tls), ("--nbd-server", server), ("--export", served))
        return [*inside, "qemu-storage-daemon", "--daemonize", "--pidfile", str(self.run / PID),
                *(word for name, value in words for word in (name, msgspec.json.encode(value).decode()))]

    async def close(self) -> None:
        await processes.end(self.run / PID)
        (self.run / STATE).unlink(missing_ok=True)
