"""One qemu-storage-daemon per served volume: outlives us, is talked to over QMP, and found again by its sockets."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from qemu.qmp import ConnectError, ExecuteError, QMPClient, QMPError
from qemu.qmp.qmp_client import GreetingError, NegotiationError

from pileus.volume.drivers import processes
from pileus.volume.drivers.base import Export, ExportOptions, Key
from pileus.volume.drivers.layers import LIMITS, Command, bare, layers, let_in, nbd_export
from pileus.volume.drivers.luks import secret_object
from pileus.volume.drivers.processes import DaemonFailed, launch, living

DISK, SOCKET, MONITOR, STATE, PID, AWAY = "disk.qcow2", "nbd", "qmp", "export.json", "pid", "away"
IO_URING, THREADS = "io_uring", "threads"     # how QEMU reads and writes a file; the first, where the kernel lets it
GREETINGS = 5                          # tries to be greeted
ANSWER_SECONDS, LOOK_SECONDS = 60.0, 0.01
SOCKET_PATH_MOST = 107                 # what a unix socket's address has room for
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)


class Daemon:
    """The daemon of the volume in `folder`; every call finds it anew, so there is nothing to lose. `public` is the
    socket where servers look for the volume; `run` a folder of this node, where that of the volume is shared; `disk`
    what it serves, in QEMU's words, which is else a QCOW2 file in the folder."""

    def __init__(self, folder: Path, public: Path | None = None, run: Path | None = None,
                 disk: Mapping[str, Any] | None = None):
        self.folder, self.public, self.run = folder, public, run or folder
        self.disk = disk

    @property
    def socket(self) -> Path:
        return self.run / SOCKET

    def wanted(self) -> ExportOptions | None:
        """As what it was started; None: it was not."""
        try:
            return msgspec.json.decode((self.run / STATE).read_bytes(), type=ExportOptions)
        except FileNotFoundError:
            return None

    def pid(self) -> int | None:
        return living(self.run / PID)

    @property
    def is_away(self) -> bool:
        """Whether what the disk holds is the past: it is written to at another back end alone."""
        return (self.folder / AWAY).exists()

    def set_away(self, away: bool) -> None:
        (self.folder / AWAY).touch() if away else (self.folder / AWAY).unlink(missing_ok=True)

    def export(self, export_name: str, *, aside: bool = False) -> Export:
        return Export(socket=str(self.socket if aside or self.public is None else self.public), name=export_name)

    async def ensure(self, options: ExportOptions, export_name: str, key: Key | None = None) -> Export:
        public = None if options.aside else self.public
        export = self.export(export_name, aside=options.aside)
        if self.is_away:
            if options.mirror is None:
                raise DaemonFailed("another back end has it by now")
        elif self.pid() is None or not _same(self.wanted(), options):
            await self.start(options, export_name, key)
        if public is not None and not self.is_away:
            _link(public, self.socket)
        return export

    def note(self, options: ExportOptions) -> None:
        fresh = self.run / f"{STATE}.new"
        fresh.write_bytes(msgspec.json.encode(options))
        fresh.replace(self.run / STATE)

    async def start(self, options: ExportOptions, export_name: str, key: Key | None) -> None:
        """The state file is written before the daemon is started, and goes after it ended."""
        await self._end_process()
        for path in filter(None, (self.socket, self.public)):
            if len(str(path)) > SOCKET_PATH_MOST:
                raise DaemonFailed(f"the path of its socket is too long: {path}")
        self.run.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.note(msgspec.structs.replace(options, mirror=None))
        try:
            await self._launch(options, export_name, key, IO_URING)
        except DaemonFailed as error:
            if IO_URING not in str(error):
                raise
            await self._launch(options, export_name, key, THREADS)

    async def _launch(self, options: ExportOptions, export_name: str, key: Key | None, aio: str) -> None:
        for name in (SOCKET, MONITOR, PID):
            (self.run / name).unlink(missing_ok=True)
        with secret_object(key if options.encrypted else None) as (secret, inherit):
            await launch(self._command(options, export_name, [*secret, *self._blockdev(options, aio)]), inherit)

    def _blockdev(self, options: ExportOptions, aio: str) -> list[str]:
        disk = self.disk or {"driver": "qcow2", "file": {"driver": "file", "filename": str(self.folder / DISK),
                                                         "discard": "unmap", "aio": aio, "cache": {"direct": False}}}
        file = {"node-name": "disk", "read-only": options.read_only, "discard": "unmap", **disk}
        return ["--blockdev", msgspec.json.encode(file).decode()]

    def _command(self, options: ExportOptions, export_name: str, disk: list[str]) -> list[str]:
        limits = {LIMITS[name]: value for name, value in options.limits.items() if name in LIMITS and value > 0}
        command = ["qemu-storage-daemon", "--daemonize", "--pidfile", str(self.run / PID), *disk]
        if limits:
            group = {"qom-type": "throttle-group", "id": "limits", "limits": limits}
            command += ["--object", msgspec.json.encode(group).decode()]
        for layer in layers(options):
            command += ["--blockdev", msgspec.json.encode(layer).decode()]
        server = {"addr": {"type": "unix", "path": str(self.socket)}, "max-connections": 0}
        return [*command, "--nbd-server", msgspec.json.encode(server).decode(),
                "--export", msgspec.json.encode(nbd_export(export_name, options)).decode(),
                "--chardev", f"socket,id=monitor,path={self.run / MONITOR},server=on,wait=off",
                "--monitor", "chardev=monitor"]

    async def execute(self, *commands: Command) -> list[Any]:
        client = QMPClient("pileus")
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._connect(client)
                return [await client.execute(name, arguments) for name, arguments in commands]
        except (ExecuteError, QMPError, OSError) as error:
            raise DaemonFailed(f"{commands[0][0]}: {error or type(error).__name__}") from error
        finally:
            await client.disconnect()

    async def _connect(self, client: QMPClient) -> None:
        """What happens just then, QEMU may tell before it greets or answers, which no client awaits: then once more."""
        for left in reversed(range(GREETINGS)):
            try:
                await client.connect(str(self.run / MONITOR))
                return
            except ConnectError as error:
                if not left or not isinstance(error.exc, (GreetingError, NegotiationError)):
                    raise

    async def change(self, command: Command, export_name: str, *, unserved: bool = False) -> None:
        """Do this to the disk. What QEMU does only to one that is `unserved`, or that is no layer of another, is done
        while clients are cut off: they come back by themselves, and see what has changed."""
        options = self.wanted() or ExportOptions()
        if not layers(options) and not unserved:
            await self.execute(command)
            return
        await self.cut_off()
        await self.execute(*bare(options), command, *let_in(options, export_name))

    async def cut_off(self) -> None:
        """Clients are gone when this returns, and what they were about to ask."""
        await self.execute(("block-export-del", {"id": "volume", "mode": "hard"}))
        for _ in range(int(ANSWER_SECONDS / LOOK_SECONDS)):
            if not (await self.execute(("query-block-exports", {})))[0]:
                return
            await asyncio.sleep(LOOK_SECONDS)
        raise DaemonFailed("its clients do not go")

    async def end(self) -> None:
        """Flushed and gone. Not there: do nothing."""
        await self._end_process()
        if self.public is not None and self.public.is_symlink() and self.public.readlink() == self.socket:
            self.public.unlink()

    async def _end_process(self) -> None:
        await processes.end(self.run / PID)
        (self.run / STATE).unlink(missing_ok=True)


def _same(now: ExportOptions | None, wanted: ExportOptions) -> bool:
    """Whether a daemon that runs as `now` can do what is wanted. One that mirrors stops that only by ending."""
    if now is None or msgspec.structs.replace(now, mirror=None) != msgspec.structs.replace(wanted, mirror=None):
        return False
    return now.mirror is None or wanted.mirror is not None and now.mirror.to.socket == wanted.mirror.to.socket


def _link(public: Path, socket: Path) -> None:
    """In one step from what was there before: clients of it come back to this socket."""
    if public.is_symlink() and public.readlink() == socket:
        return
    public.parent.mkdir(parents=True, exist_ok=True)
    fresh = public.with_name(f"{public.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(socket)
    fresh.replace(public)
