"""Load balancers by HAProxy: for each a network namespace, a folder and a process, which outlive the cloud's own."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import logging
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import msgspec

from pileus.load_balancer.drivers import datagrams
from pileus.load_balancer.drivers.base import BalancerFailed, BalancerSpec, Counters, Sight
from pileus.load_balancer.drivers.haproxy_config import PING, STATE, STATS, configuration
from pileus.load_balancer.drivers.watching import Watch
from pileus.load_balancer.drivers.wiring import FOLDER, Wiring, run

log = logging.getLogger(__name__)
SPEC, CONFIG, PID, TOLD = "spec.json", "haproxy.cfg", "pid", "told.json"
START_SECONDS, ANSWER_SECONDS, END_SECONDS, LOOK_SECONDS = 30.0, 5.0, 5.0, 0.02
PROGRAM = "haproxy"
FORWARD = "cd /proc/sys/net && nft -f - && echo {0} > ipv4/ip_forward && echo {0} > ipv6/conf/all/forwarding"
CHECK = '#!/bin/sh\nexec ping -q -n -c 1 -w "${HAPROXY_SERVER_TIMEOUT:-1}" "$3" > /dev/null 2>&1\n'


class Told(msgspec.Struct, kw_only=True):
    """What was counted by the process `pid` when it was told last."""

    pid: int = 0
    listeners: dict[str, Counters] = {}


class HaproxyDriver:
    def __init__(self, folder: Path, host: str):
        """`folder` is this host's; `host` the name of its network namespace."""
        self.folder, self.wiring = folder, Wiring(host)
        self._watches: dict[str, Watch] = {}
        self._unsettled: set[str] = set()               # whose rules are not what members' answers ask for

    @property
    def unable(self) -> str | None:
        path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"))
        return None if shutil.which(PROGRAM, path=path) else (
            "the program haproxy is not installed: apt-get install haproxy")

    def _folder(self, balancer_id: str) -> Path:
        return self.folder / balancer_id

    def spec(self, balancer_id: str) -> BalancerSpec | None:
        try:
            return msgspec.json.decode((self._folder(balancer_id) / SPEC).read_bytes(), type=BalancerSpec)
        except FileNotFoundError:
            return None

    # -- wanted ends ------------------------------------------------------------------------

    async def ensure(self, spec: BalancerSpec) -> None:
        """What is wanted is written down before it is done, so that whoever comes next can finish it."""
        if (why := self.unable) is not None:
            raise BalancerFailed(why)
        folder, text = self._folder(spec.id), configuration(spec)
        before = self.spec(spec.id)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(folder / SPEC, msgspec.json.encode(spec))
        if before is not None:
            await self.wiring.drop(sorted({leg.device for leg in before.legs} - {leg.device for leg in spec.legs}))
        await self.wiring.ensure(spec)
        _write(folder / PING, CHECK.encode(), mode=0o700)
        config = folder / CONFIG
        as_it_is = config.exists() and config.read_text() == text
        if not as_it_is or self._running(spec.id) is None:
            await self._start(spec.id, text)
        await self._translate(spec)

    async def _translate(self, spec: BalancerSpec) -> None:
        """Have the kernel balance what HAProxy cannot. Connections to members that get nothing any more end."""
        watch = self._watch(spec.id)
        gone = {member.address for pool in spec.pools for member in pool.members if member.id in watch.down}
        some = bool(datagrams.listeners_of(spec))
        await self._inside(spec.id, "sh", "-c", FORWARD.format(int(some)),
                           given=datagrams.rules(spec, watch.down).encode())
        for address in sorted(gone) if some else ():
            await self._forget(spec.id, address)
        self._unsettled.discard(spec.id)

    async def _forget(self, balancer_id: str, member: str) -> None:
        """Of the kernel's connections with it; having none is a failure to the program that is asked."""
        with contextlib.suppress(BalancerFailed):
            await self._inside(balancer_id, "conntrack", "-D", "-p", "udp", "--reply-src", member)

    async def _inside(self, balancer_id: str, *command: str, given: bytes | None = None) -> bytes:
        return await run("nsenter", f"--net={FOLDER / self.wiring.space(balancer_id)}", *command, given=given)

    def _watch(self, balancer_id: str) -> Watch:
        return self._watches.setdefault(balancer_id, Watch(FOLDER / self.wiring.space(balancer_id)))

    async def remove(self, balancer_id: str) -> None:
        self._watches.pop(balancer_id, None)
        self._unsettled.discard(balancer_id)
        folder, spec = self._folder(balancer_id), self.spec(balancer_id)
        await self._end(balancer_id)
        await self.wiring.remove(balancer_id, [leg.device for leg in spec.legs] if spec else [])
        if folder.exists():
            await asyncio.to_thread(shutil.rmtree, folder)

    async def held(self) -> dict[str, str]:
        return {spec.id: spec.digest for spec in self._specs()}

    def _specs(self) -> list[BalancerSpec]:
        names = sorted(path.parent.name for path in self.folder.glob(f"*/{SPEC}"))
        return [spec for name in names if (spec := self.spec(name)) is not None]

    # -- its process ------------------------------------------------------------------------

    async def _start(self, balancer_id: str, text: str) -> None:
        """A new process takes over the sockets of the one before, which ends when its connections have."""
        folder, before = self._folder(balancer_id), self._running(balancer_id)
        states = None if before is None else await self._ask(balancer_id, "show servers state")
        if before is None:
            await self._end(balancer_id)
        _write(folder / STATE, _as_configured(states or "").encode())
        fresh = folder / f"{CONFIG}.new"
        fresh.write_text(text)
        over = [] if before is None else ["-sf", str(before), *(("-x", STATS) if states is not None else ())]
        command = ["nsenter", f"--net={FOLDER / self.wiring.space(balancer_id)}", PROGRAM, "-D",
                   "-p", str(folder / PID), "-f", str(fresh), *over]
        environment = os.environ | {"PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"}
        try:
            done = await asyncio.to_thread(
                subprocess.run, command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, check=False,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=START_SECONDS, start_new_session=True)
        except subprocess.TimeoutExpired as error:
            raise BalancerFailed(f"haproxy did not start within {START_SECONDS:.0f} s") from error
        except OSError as error:
            raise BalancerFailed(f"haproxy did not start: {error.strerror}") from error
        if done.returncode:
            raise BalancerFailed(f"haproxy did not start: {_last_words(done.stderr)}")
        fresh.replace(folder / CONFIG)

    def _running(self, balancer_id: str) -> int | None:
        """The process that serves it: not one that only ends what was begun, nor one in a namespace that is gone."""
        try:
            pid = int((self._folder(balancer_id) / PID).read_text())
            there = os.stat(FOLDER / self.wiring.space(balancer_id))
            at_home = os.path.samestat(os.stat(f"/proc/{pid}/ns/net"), there)
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return None
        return pid if at_home and self._is_of(balancer_id, pid) else None

    def _is_of(self, balancer_id: str, pid: int) -> bool:
        """By its command line: a number alone may be somebody else's by now."""
        return str(self._folder(balancer_id) / PID).encode() in _command(pid)

    async def _end(self, balancer_id: str) -> None:
        """Of all its processes."""
        running = [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if self._is_of(balancer_id, pid)]
        for number, seconds in ((signal.SIGTERM, END_SECONDS), (signal.SIGKILL, END_SECONDS)):
            for pid in running:
                _signal(pid, number)
            for _ in range(int(seconds / LOOK_SECONDS)):
                running = [pid for pid in running if self._is_of(balancer_id, pid)]
                if not running:
                    return
                await asyncio.sleep(LOOK_SECONDS)
        raise BalancerFailed(f"the haproxy of {balancer_id} does not end")

    async def _ask(self, balancer_id: str, command: str) -> str | None:
        """None: it does not answer."""
        try:
            return await asyncio.to_thread(_asked, self._folder(balancer_id), command)
        except OSError:
            return None

    # -- how they do ------------------------------------------------------------------------

    async def fallen(self) -> list[str]:
        return [spec.id for spec in self._specs() if self._running(spec.id) is None or spec.id in self._unsettled]

    async def mend(self, balancer_id: str) -> None:
        if (spec := self.spec(balancer_id)) is not None:
            await self.ensure(spec)

    async def look(self) -> dict[str, Sight]:
        found = self._specs()
        return dict(zip((spec.id for spec in found), await asyncio.gather(*map(self._seen, found)), strict=True))

    async def _seen(self, spec: BalancerSpec) -> Sight:
        """One that cannot be looked at hides no other."""
        try:
            return await self._sight(spec)
        except BalancerFailed as error:
            log.warning("load balancer %s: %s", spec.id, error)
            return Sight()

    async def _sight(self, spec: BalancerSpec) -> Sight:
        text = await self._ask(spec.id, "show stat -1 7 -1")
        if text is None:
            return Sight()
        pid = self._running(spec.id) or 0
        members: dict[str, bool] = {}
        totals: dict[str, Counters] = {}
        for row in csv.DictReader(io.StringIO(text.removeprefix("# "))):
            name, server, status = row["pxname"], row["svname"], row["status"]
            if server == "FRONTEND":
                totals[name] = Counters(
                    bytes_in=_number(row["bin"]), bytes_out=_number(row["bout"]), request_errors=_number(row["ereq"]),
                    active_connections=_number(row["scur"]), total_connections=_number(row["stot"]))
            elif server != "BACKEND" and row["check_status"] not in ("", "INI", "* INI"):
                members[server] = members.get(server, True) and status.startswith(("UP", "DRAIN", "NOLB"))
        of_kernel: dict[str, Counters] = {}
        members |= await self._datagrams(spec, of_kernel)
        return Sight(members=members, listeners=self._new(spec.id, pid, totals, of_kernel))

    async def _datagrams(self, spec: BalancerSpec, totals: dict[str, Counters]) -> dict[str, bool]:
        """Whether members of UDP pools answer; what went through their listeners is added to `totals`."""
        found, watch = datagrams.listeners_of(spec), self._watch(spec.id)
        if not found:
            return {}
        before, used = watch.down, {listener.default_pool_id for listener in found}
        answers = await watch.look([pool for pool in spec.pools if pool.id in used])
        counted = await self._counters(spec)
        if watch.down != before or counted is None:
            self._unsettled.add(spec.id)
        for listener in found:
            told, back, new = ((counted or {}).get(datagrams.counter(name, listener), (0, 0))
                               for name in ("in", "out", "new"))
            totals[listener.id] = Counters(bytes_in=told[1], bytes_out=back[1], total_connections=new[0])
        return answers

    async def _counters(self, spec: BalancerSpec) -> dict[str, tuple[int, int]] | None:
        """Packets and bytes by counter; None: somebody took the rules away."""
        try:
            text = await self._inside(spec.id, "nft", "-j", "list", "table", *datagrams.TABLE.split())
        except BalancerFailed:
            return None
        entries = msgspec.json.decode(text)["nftables"]
        return {entry["counter"]["name"]: (entry["counter"]["packets"], entry["counter"]["bytes"])
                for entry in entries if "counter" in entry}

    def _new(self, balancer_id: str, pid: int, of_process: dict[str, Counters],
             of_kernel: dict[str, Counters]) -> dict[str, Counters]:
        """What was counted since it was told last. A new process counts from nothing, and the kernel goes on."""
        file = self._folder(balancer_id) / TOLD
        try:
            told = msgspec.json.decode(file.read_bytes(), type=Told)
        except (FileNotFoundError, msgspec.DecodeError):
            told = Told()
        before = {name: counted for name, counted in told.listeners.items() if told.pid == pid or name in of_kernel}
        found, totals = {}, of_process | of_kernel
        for name, now in totals.items():
            then = before.get(name, Counters())
            found[name] = Counters(active_connections=now.active_connections, **{
                field: max(0, getattr(now, field) - getattr(then, field)) for field in (
                    "bytes_in", "bytes_out", "total_connections", "request_errors")})
        if told.pid != pid or told.listeners != totals:
            _write(file, msgspec.json.encode(Told(pid=pid, listeners=totals)))
        return found


def _as_configured(states: str) -> str:
    """Of servers' states those that the next process is to go on from: not of servers that were switched off, which it
    would keep so."""
    head, lines = states.splitlines()[:2], states.splitlines()[2:]
    at = head[1].split().index("srv_admin_state") - 1 if len(head) == 2 else 0          # behind a #
    return "".join(f"{line}\n" for line in (*head, *(line for line in lines if line and line.split()[at] == "0")))


def _number(text: str) -> int:
    return int(text or 0)


def _last_words(errors: bytes) -> str:
    lines = [line.partition("] ")[2] or line for line in errors.decode(errors="replace").splitlines()
             if "ALERT" in line or "[" not in line]
    return " ".join(" ".join(lines).split())[-500:]


def _command(pid: int) -> list[bytes]:
    """Of a process that lives; a zombie has none any more."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0") if pid > 0 else []
    except (FileNotFoundError, ProcessLookupError):
        return []


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _write(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Whole or not at all; as it is already: not touched."""
    if path.exists() and path.read_bytes() == content:
        return
    fresh = path.with_name(f"{path.name}.part")
    fresh.write_bytes(content)
    fresh.chmod(mode)
    fresh.replace(path)


def _asked(folder: Path, command: str) -> str:
    """The answer of its socket, which is named through its folder: an address has room for a hundred characters."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ANSWER_SECONDS)
            connection.connect(f"/proc/self/fd/{descriptor}/{STATS}")
            connection.sendall(f"{command}\n".encode())
            parts = []
            while piece := connection.recv(1 << 16):
                parts.append(piece)
    finally:
        os.close(descriptor)
    return b"".join(parts).decode()
