"""One running QEMU: started so that it outlives us, talked to over QMP, and found again by a later process of ours."""

import asyncio
import logging
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

from qemu.qmp import EventListener, ExecInterruptedError, ExecuteError, Message, QMPClient, QMPError

from pileus.compute.drivers.guest_folder import MONITOR, PID, QEMU_LOG, SOCKETS, GuestFolder

# QEMUs that are children of this process: ours to reap when they end, long after we may have let go of them.
children: set[subprocess.Popen[bytes]] = set()
log = logging.getLogger(__name__)
START_SECONDS = 30.0
ANSWER_SECONDS = 30.0
QUIT_SECONDS = 10.0
# The library logs every QEMU that ends as an error; that a guest ends is told by us.
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)


class Monitor(QMPClient):
    """A connection to QEMU's monitor, on whatever loop."""

    def send_fd_scm(self, fd: int) -> None:
        """The library's own reaches into a socket that only asyncio's loop has."""
        assert self._writer is not None
        with socket.socket(fileno=os.dup(self._writer.get_extra_info("socket").fileno())) as line:
            socket.send_fds(line, [b" "], [fd])


class QemuFailed(Exception):
    """QEMU did not start, does not answer or refused; the message says why, in its words where it has some."""


class QemuProcess:
    """A QEMU that lives, or did a moment ago. `gone` is set when it ended, for whatever reason."""

    def __init__(self, folder: GuestFolder, client: Monitor, pid: int, child: subprocess.Popen[bytes] | None) -> None:
        self._pidfd = os.pidfd_open(pid)
        self.folder = folder
        self.pid = pid
        self.gone = asyncio.Event()
        self.shut_down = asyncio.Event()  # the guest powered itself off; QEMU stays, to tell of it
        self.on_event: Callable[[Message], None] = lambda event: None
        self.exit_code: int | None = None
        self._client = client
        self._child = child
        self._listener = EventListener()
        client.register_listener(self._listener)
        self._reader = asyncio.create_task(self._read_events())
        asyncio.get_running_loop().add_reader(self._pidfd, self._ended)

    @classmethod
    async def start(
        cls, folder: GuestFolder, keep: list[int], arguments: Callable[[dict[str, int]], list[str]],
        namespace: Path | None
    ) -> "QemuProcess":  # fmt: skip
        """Start a QEMU that does not run its guest yet. It inherits what `keep` says, above all
        the folder's lock, and holds it until it ends.

        Raises QemuFailed with what QEMU had to say.
        """
        listeners: dict[str, socket.socket] = {}
        try:
            (folder.path / PID).unlink(missing_ok=True)
            for name in SOCKETS:
                listeners[name] = folder.listen(name)
            descriptors = {name: listener.fileno() for name, listener in listeners.items()}
            # In this thread, so that a caller who gives up cannot have the descriptors closed under it.
            child = spawn(folder, arguments(descriptors), [*keep, *descriptors.values()], namespace)
        finally:
            # What QEMU was given is its own now.
            for listener in listeners.values():
                listener.close()
        try:
            client = await connect(folder)
        except QemuFailed as error:
            child.kill()
            await asyncio.to_thread(child.wait)
            raise QemuFailed(folder.qemu_complaint() or str(error)) from error
        return cls(folder, client, child.pid, child)

    @classmethod
    async def adopt(cls, folder: GuestFolder) -> "QemuProcess | None":
        """The QEMU an earlier process of ours started, or None if there is none. Raises QemuFailed."""
        if not folder.locked():
            return None
        try:
            client = await connect(folder)
        except QemuFailed:
            # It may have been on its way out: what ends lets go of its sockets first, of its lock last.
            if await freed(folder):
                return None
            raise
        pid = folder.pid()  # written before it answers
        try:
            return cls(folder, client, -1 if pid is None else pid, None)
        except OSError as error:
            await let_go(client)
            if await freed(folder):
                return None
            raise QemuFailed("a QEMU of this guest lives whose number is not known") from error

    async def execute(self, name: str, arguments: dict[str, object] | None = None) -> object:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._client.execute(name, arguments)
        except ExecuteError as error:
            raise QemuFailed(str(error)) from error
        except TimeoutError as error:
            raise QemuFailed(f"QEMU did not answer {name} within {ANSWER_SECONDS:.0f} s") from error
        except (ExecInterruptedError, QMPError, OSError) as error:
            raise QemuFailed("QEMU ended meanwhile") from error

    async def give(self, name: str, descriptor: int) -> None:
        """Hand QEMU an open file under a name."""
        self._client.send_fd_scm(descriptor)
        await self.execute("getfd", {"fdname": name})

    async def status(self) -> str:
        answer = await self.execute("query-status")
        assert isinstance(answer, dict)
        return str(answer["status"])

    async def down(self) -> bool:
        """Whether the guest is no more: QEMU ended, is about to, or only stays to tell that the guest powered off."""
        if self.gone.is_set() or self.shut_down.is_set():
            return True
        try:
            return await self.status() == "shutdown"
        except QemuFailed:
            if not await self._gone_within(QUIT_SECONDS):
                raise
            return True

    async def quit(self) -> None:
        """End QEMU so that its disks are flushed, and wait until it has let go of disks and taps."""
        try:
            if not self.gone.is_set():
                await self.execute("quit")
        except QemuFailed as error:
            log.info("QEMU %s of guest %s did not take its leave: %s", self.pid, self.folder.id, error)
        if not await self._gone_within(QUIT_SECONDS):
            log.warning("QEMU %s of guest %s has to be killed", self.pid, self.folder.id)
        await self.kill()

    async def kill(self) -> None:
        """End QEMU at once. Already gone: do nothing."""
        if self._pidfd >= 0:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        await self.gone.wait()
        await self.close()

    async def stopped(self) -> None:
        """Wait until the guest has shut itself down or QEMU has ended."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self.gone, self.shut_down)]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def close(self) -> None:
        """Let go of it; it lives on."""
        self._stop_watching()
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        await let_go(self._client)

    def ending(self) -> str:
        """Why it ended, as far as can be told."""
        complaint = self.folder.qemu_complaint()
        if self.exit_code is not None and self.exit_code < 0:
            complaint = f"QEMU was ended by {signal.Signals(-self.exit_code).name}. {complaint}".strip()
        return complaint or "QEMU ended"

    async def _gone_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self.gone.wait()
        except TimeoutError:
            return False
        return True

    def _ended(self) -> None:
        self._stop_watching()
        if self._child is not None:
            self.exit_code = self._child.wait()
            children.discard(self._child)
        self.gone.set()

    def _stop_watching(self) -> None:
        if self._pidfd >= 0:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    async def _read_events(self) -> None:
        async for event in self._listener:
            data = event.get("data", {})
            if event["event"] == "SHUTDOWN" and isinstance(data, dict) and data.get("guest"):
                self.shut_down.set()
            self.on_event(event)


def spawn(
    folder: GuestFolder, arguments: list[str], keep: list[int], namespace: Path | None
) -> subprocess.Popen[bytes]:
    """Start QEMU in a session of its own. Not by asyncio: its processes are killed when the event loop is closed."""
    if namespace is not None:
        arguments = ["nsenter", f"--net={namespace}", "--", *arguments]
    for child in list(children):
        if child.poll() is not None:
            children.discard(child)
    with open(folder.path / QEMU_LOG, "wb") as output:
        try:
            child = subprocess.Popen(
                arguments,
                cwd=folder.path,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=keep,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise QemuFailed(f"{arguments[0]} is not on this host") from error
    children.add(child)
    return child


async def connect(folder: GuestFolder) -> Monitor:
    """A monitor connection. The socket listens from before QEMU starts, so this waits for QEMU, and not for nothing:
    one that fails to start closes it."""
    client = Monitor(folder.id)
    try:
        async with asyncio.timeout(START_SECONDS):
            await client.connect(folder.connect(MONITOR))
    except TimeoutError as error:
        raise QemuFailed(f"QEMU did not answer within {START_SECONDS:.0f} s") from error
    except (QMPError, OSError, EOFError, AssertionError) as error:
        # The library asserts that a session it has just made lasts; QEMU may have ended in between.
        told = str(error) if isinstance(error, OSError) else "QEMU ended before it answered"
        raise QemuFailed(told) from error
    return client


async def let_go(client: Monitor) -> None:
    try:
        await client.disconnect()
    except (QMPError, OSError, EOFError) as error:
        log.debug("a monitor connection ended with %s", error)


async def kill_stray(folder: GuestFolder) -> None:
    """End a QEMU that is not being talked to. None there: do nothing. Raises QemuFailed if it does not end."""
    # One that has only just been started has yet to write its number, so this is asked each time.
    if not await freed(folder, lambda: send_kill(folder.pid())):
        raise QemuFailed("a QEMU of this guest lives and cannot be ended")


async def freed(folder: GuestFolder, meanwhile: Callable[[], None] = lambda: None) -> bool:
    """Wait until no QEMU of the guest lives; False if one does for too long."""
    for _ in range(int(QUIT_SECONDS / 0.01)):
        if not folder.locked():
            return True
        meanwhile()
        await asyncio.sleep(0.01)
    return False


def send_kill(pid: int | None) -> None:
    if pid is None:
        return
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        os.close(descriptor)
