"""One qemu-storage-daemon per served volume: outlives us, is talked to over QMP, and found again by its sockets."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import msgspec
from qemu.qmp import ExecuteError, QMPClient, QMPError

from pileus.volume.drivers.base import Export, ExportOptions, Key
from pileus.volume.drivers.qcow2 import secret_object

DISK, SOCKET, MONITOR, STATE, PID = "disk.qcow2", "nbd", "qmp", "export.json", "pid"
START_SECONDS, ANSWER_SECONDS, QUIT_SECONDS = 30.0, 60.0, 10.0
SOCKET_PATH_MOST = 107                 # what a unix socket's address has room for
# Names of a throttle group's limits, by the words of volume types.
_LIMITS = {"total_iops_sec": "iops-total", "read_iops_sec": "iops-read", "write_iops_sec": "iops-write",
           "total_bytes_sec": "bps-total", "read_bytes_sec": "bps-read", "write_bytes_sec": "bps-write"}
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)


class DaemonFailed(Exception):
    """The daemon did not start, does not answer or refused; the message says why."""


class Daemon:
    """The daemon of the volume in `folder`; every call finds it anew, so there is nothing to lose."""

    def __init__(self, folder: Path):
        self.folder = folder

    @property
    def socket(self) -> Path:
        return self.folder / SOCKET

    def wanted(self) -> ExportOptions | None:
        """As what it was started; None: it was not."""
        try:
            return msgspec.json.decode((self.folder / STATE).read_bytes(), type=ExportOptions)
        except FileNotFoundError:
            return None

    def pid(self) -> int | None:
        """Of the daemon that lives. The pid file alone says nothing: the number may be somebody else's by now."""
        try:
            pid = int((self.folder / PID).read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return None
        return pid if str(self.folder / PID).encode() in command.split(b"\0") else None

    async def ensure(self, options: ExportOptions, export_name: str, key: Key | None = None) -> Export:
        """The state file is written before the daemon is started, and goes after it ended."""
        export = Export(socket=str(self.socket), name=export_name)
        if self.pid() is not None and self.wanted() == options:
            return export
        await self.end()
        if len(str(self.socket)) > SOCKET_PATH_MOST:
            raise DaemonFailed(f"the path of its socket is too long: {self.socket}")
        fresh = self.folder / f"{STATE}.new"
        fresh.write_bytes(msgspec.json.encode(options))
        fresh.replace(self.folder / STATE)
        for name in (SOCKET, MONITOR, PID):
            (self.folder / name).unlink(missing_ok=True)
        # Not by the loop's own way of starting programs: the daemon would inherit the pipe and never end it.
        try:
            with secret_object(key if options.encrypted else None) as (secret, inherit):
                done = await asyncio.to_thread(
                    subprocess.run, self._command(options, export_name, secret), stdin=subprocess.DEVNULL, check=False,
                    stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=START_SECONDS, start_new_session=True,
                    pass_fds=inherit)
        except subprocess.TimeoutExpired as error:
            raise DaemonFailed(f"qemu-storage-daemon did not start within {START_SECONDS:.0f} s") from error
        if done.returncode:
            raise DaemonFailed(" ".join(done.stderr.decode(errors="replace").split())[-500:])
        return export

    def _command(self, options: ExportOptions, export_name: str, secret: list[str]) -> list[str]:
        file = {"driver": "qcow2", "node-name": "disk", "read-only": options.read_only, "discard": "unmap",
                "file": {"driver": "file", "filename": str(self.folder / DISK), "discard": "unmap",
                         "cache": {"direct": False}}}
        limits = {_LIMITS[name]: value for name, value in options.limits.items() if name in _LIMITS and value > 0}
        command = ["qemu-storage-daemon", "--daemonize", "--pidfile", str(self.folder / PID), *secret,
                   "--blockdev", msgspec.json.encode(file).decode()]
        if limits:
            group = {"qom-type": "throttle-group", "id": "limits", "limits": limits}
            command += ["--object", msgspec.json.encode(group).decode()]
        for layer in _layers(options):
            command += ["--blockdev", msgspec.json.encode(layer).decode()]
        server = {"addr": {"type": "unix", "path": str(self.socket)}, "max-connections": 0}
        return [*command, "--nbd-server", msgspec.json.encode(server).decode(),
                "--export", msgspec.json.encode(_export(export_name, options)).decode(),
                "--chardev", f"socket,id=monitor,path={self.folder / MONITOR},server=on,wait=off",
                "--monitor", "chardev=monitor"]

    async def execute(self, *commands: tuple[str, dict[str, Any]]) -> list[Any]:
        client = QMPClient("pileus")
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await client.connect(str(self.folder / MONITOR))
                return [await client.execute(name, arguments) for name, arguments in commands]
        except (ExecuteError, QMPError, OSError, TimeoutError) as error:
            raise DaemonFailed(f"{commands[0][0]}: {error or type(error).__name__}") from error
        finally:
            await client.disconnect()

    async def change(self, command: tuple[str, dict[str, Any]], export_name: str, *, unserved: bool = False) -> None:
        """Do this to the disk. What QEMU does only to one that is `unserved`, or that is no layer of another, is done
        while clients are cut off: they come back by themselves, and see what has changed."""
        options = self.wanted() or ExportOptions()
        layers = _layers(options)
        if not layers and not unserved:
            await self.execute(command)
            return
        await self.execute(
            ("block-export-del", {"id": "volume", "mode": "hard"}),
            *(("blockdev-del", {"node-name": layer["node-name"]}) for layer in reversed(layers)), command,
            *(("blockdev-add", layer) for layer in layers), ("block-export-add", _export(export_name, options)))

    async def end(self) -> None:
        """Flushed and gone. Not there: do nothing."""
        pid = self.pid()
        if pid is not None:
            try:
                descriptor = os.pidfd_open(pid)
            except ProcessLookupError:
                descriptor = -1
            if descriptor >= 0:
                await self._end(descriptor)
        (self.folder / STATE).unlink(missing_ok=True)

    @staticmethod
    async def _end(descriptor: int) -> None:
        gone = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(descriptor, gone.set)
        try:
            for number, seconds in ((signal.SIGTERM, QUIT_SECONDS), (signal.SIGKILL, QUIT_SECONDS)):
                signal.pidfd_send_signal(descriptor, number)
                try:
                    async with asyncio.timeout(seconds):
                        await gone.wait()
                    return
                except TimeoutError:
                    logging.getLogger(__name__).warning("a qemu-storage-daemon does not end by %s", number.name)
            raise DaemonFailed("it does not end")
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)


def _layers(options: ExportOptions) -> list[dict[str, Any]]:
    """What lies over the disk, the lowest first."""
    found: list[dict[str, Any]] = []
    if options.encrypted:
        found.append({"driver": "luks", "node-name": "plain", "file": "disk", "key-secret": "key",
                      "read-only": options.read_only})
    if any(options.limits.get(name) for name in _LIMITS):
        found.append({"driver": "throttle", "node-name": "limited", "throttle-group": "limits",
                      "file": found[-1]["node-name"] if found else "disk", "read-only": options.read_only})
    return found


def _export(name: str, options: ExportOptions) -> dict[str, Any]:
    node = [{"node-name": "disk"}, *_layers(options)][-1]["node-name"]
    return {"type": "nbd", "id": "volume", "node-name": node, "name": name, "writable": not options.read_only}
