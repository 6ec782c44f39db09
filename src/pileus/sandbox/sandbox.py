"""The cloud's own network on this machine: namespaces of a state folder that outlive the cloud's processes."""

import fcntl
import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pileus.sandbox import checks, syscalls, uplink
from pileus.sandbox.checks import Missing, SandboxError
from pileus.sandbox.processes import Process, collect, end, replace
from pileus.sandbox.residents import ancestors, anchor, namespace_of, residents
from pileus.sandbox.uplink import Uplink

# Without site-packages and user settings, a fresh interpreter is there in half the time.
PYTHON = [sys.executable, "-E", "-s", "-S"]
HOLDER = str(Path(__file__).with_name("holder.py"))
INSIDE = str(Path(__file__).with_name("inside.py"))


@dataclass(frozen=True)
class Holder:
    """What a holder recorded of itself: who it is, and which namespaces it holds."""

    process: Process
    namespaces: dict[str, int]
    token: str

    @property
    def own_user(self) -> bool:
        return "user" in self.namespaces


class Sandbox:
    """Namespaces and uplink of one state folder. Several processes may call its methods at once."""

    def __init__(self, state_dir: str | Path) -> None:
        self.state_dir = Path(state_dir).resolve()
        self.run_dir = self.state_dir / "run"
        self.log_dir = self.state_dir / "log"

    def checks(self, ports: Iterable[int] = ()) -> list[Missing]:
        """What this machine lacks; the ports that already lead into this sandbox are not in anybody's way."""
        ours = self._pasta()[1].ports
        return checks.all_missing(self.state_dir, [port for port in ports if port not in ours])

    @property
    def alive(self) -> bool:
        """Whether both the namespaces and their link to the machine are there."""
        holder = self._holder()
        return holder is not None and holder.process.alive and self._pasta()[0] is not None

    @property
    def inside(self) -> bool:
        """Whether the calling process is in the sandbox."""
        holder = self._holder()
        return holder is not None and namespace_of("self", "mnt") == holder.namespaces["mnt"]

    def ensure(self, ports: Iterable[int]) -> None:
        """Make what is not there. Lasting processes and networks inside are kept; changed ports restart only the link.

        `ports` of the machine's 127.0.0.1 lead to the same ports inside.
        """
        wanted = Uplink(tuple(sorted(set(ports))))
        self._make_folders()
        with self._locked() as lock:
            if self.inside:
                raise SandboxError("the sandbox can be made or mended only from outside of it")
            self._must_be_ours()
            earlier = self._holder()
            if earlier and earlier.process.alive:
                self._link(earlier, wanted)
                return
            holder = self._hold(earlier, lock)
            try:
                self._link(holder, wanted)
            except SandboxError:
                self._release(holder)
                raise

    def enter(self) -> None:
        """Move the calling process, of one thread, into the sandbox, with all rights over the networks there."""
        holder = self._holder()
        fd = holder.process.open() if holder else None
        if holder is None or fd is None:
            raise SandboxError(f"no sandbox runs for {self.state_dir}")
        try:
            if self.inside:
                return
            threads = len(os.listdir("/proc/self/task"))
            if threads > 1:
                raise SandboxError(f"a process joins the sandbox before it starts threads; this one has {threads}")
            self._must_be_ours()
            folder = os.getcwd()
            syscalls.setns(fd, syscalls.joined_flags(holder.own_user))
            # Joining other mounts puts a process at their root.
            os.chdir(folder)
            if holder.own_user:
                syscalls.keep_capabilities()
        finally:
            os.close(fd)

    def argv(self, command: Iterable[str]) -> list[str]:
        """A command line that runs a command inside, from wherever it is started."""
        return [*PYTHON, INSIDE, str(self.state_dir), *command]

    def residents(self) -> list[Process]:
        """All processes inside but the holder, the caller and whoever started the caller."""
        holder = self._holder()
        if holder is None:
            return []
        return residents(holder.namespaces, holder.token, {holder.process.pid, *ancestors()})

    def stop(self, grace: float = 3.0) -> None:
        """End every process inside, the link and the holder; with them go all networks and mounts of the sandbox."""
        if not self.run_dir.is_dir():
            return
        with self._locked():
            # Again, because who is about to be ended may start others.
            left = self.residents()
            for _ in range(3):
                left = end(left, grace) or self.residents()
            if holder := self._holder():
                self._release(holder)
        if left := [process for process in left if process.alive]:
            raise SandboxError(f"processes {', '.join(str(process.pid) for process in left)} do not end")

    def _release(self, holder: Holder) -> None:
        """The namespaces go with the last process in them."""
        self._end_pasta(holder)
        end([holder.process])
        for name in ("pasta.pid", "pasta.json", "sandbox.pid", "sandbox.json"):
            (self.run_dir / name).unlink(missing_ok=True)

    def _must_be_ours(self) -> None:
        """The user who made it is the only one who exists in it."""
        owner = self.run_dir.stat().st_uid
        if owner != os.geteuid():
            cure = f"sudo -u '#{owner}' …; or name a folder of your own with --state DIR"
            missing = Missing(f"state folder {self.state_dir}", f"it is of user {owner}", cure)
            raise SandboxError("this sandbox is somebody else's", [missing])

    def _make_folders(self) -> None:
        try:
            for folder in (self.run_dir, self.log_dir):
                folder.mkdir(parents=True, exist_ok=True)
            os.close(os.open(self.run_dir, os.O_TMPFILE | os.O_WRONLY, 0o600))
        except OSError as error:
            missing = checks.state_folder(self.run_dir)
            text = f"the state folder cannot be used: {error}"
            raise SandboxError(text, [missing] if missing else []) from error

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """One at a time per state folder. The kernel takes the lock back from whoever is killed."""
        fd = os.open(self.run_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield fd
        finally:
            os.close(fd)

    def _holder(self) -> Holder | None:
        record = _read(self.run_dir / "sandbox.json")
        return Holder(Process(**record["process"]), record["namespaces"], record["token"]) if record else None

    def _pasta(self) -> tuple[Process | None, Uplink]:
        """The link that runs, and what it leads to."""
        record = _read(self.run_dir / "pasta.json")
        if record and (process := Process(**record["process"])).alive:
            return process, Uplink(tuple(record["ports"]))
        return None, Uplink()

    def _link(self, holder: Holder, wanted: Uplink) -> None:
        pasta, present = self._pasta()
        if pasta and not pasta.is_ending and present == wanted and uplink.is_up(holder.process):
            return
        self._end_pasta(holder)
        pasta = uplink.start(wanted, holder.process, holder.own_user, self.log_dir / "pasta.log")
        text = json.dumps({"process": vars(pasta), "ports": wanted.ports})
        replace(self.run_dir / "pasta.json", text)
        replace(self.run_dir / "pasta.pid", f"{pasta.pid}\n")

    def _end_pasta(self, holder: Holder) -> None:
        noted = self._pasta()[0]
        pasta = noted or uplink.find(holder.process)
        if pasta:
            end([pasta])

    def _hold(self, lost: Holder | None, lock: int) -> Holder:
        """Start a holder; where an earlier one was killed and something lives in its namespaces, it keeps those."""
        joined: list[str] = []
        if lost:
            self._end_pasta(lost)
            if survivor := anchor(lost.namespaces, lost.token):
                joined = [str(survivor.pid)]
        reader, writer = os.pipe()
        argv = [*PYTHON, HOLDER, str(self.state_dir), str(writer), str(lock), *joined]
        log = str(self.log_dir / "sandbox.log")
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
            # Onto themselves: they stay open in the child.
            (os.POSIX_SPAWN_DUP2, writer, writer),
            (os.POSIX_SPAWN_DUP2, lock, lock),
        ]
        pid = os.posix_spawn(sys.executable, argv, os.environ, file_actions=actions, setsid=True)
        os.close(writer)
        with os.fdopen(reader) as pipe:
            answer = json.loads(pipe.read() or '{"error": "its holder ended at once; see log/sandbox.log"}')
        holder = self._holder()
        if answer or holder is None or holder.process.pid != pid:
            os.waitpid(pid, 0)
            collect(pid)
            refused = checks.user_namespaces()
            raise SandboxError(f"the sandbox cannot be made: {answer['error']}", [refused] if refused else [])
        return holder


def _read(path: Path) -> dict | None:
    return json.loads(path.read_text()) if path.exists() else None
