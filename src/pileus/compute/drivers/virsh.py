"""libvirt by its command virsh, at any URI: what it said, or why not."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import msgspec

from pileus.compute.drivers.base import Power
from pileus.compute.drivers.qemu_process import QemuFailed
from pileus.kit.child import child

ANSWER_SECONDS = 120.0
RUNNING, BLOCKED, PAUSED, SHUTTING_DOWN, OFF, CRASHED, SLEEPING = range(1, 8)
IO_ERROR, CRASHED_PAUSED, WATCHDOG = 5, 10, 4
BAD_PAUSES = {IO_ERROR: "a disk of its host is full or failed", CRASHED_PAUSED: "its kernel panicked",
              WATCHDOG: "its watchdog ran out"}  # fmt: skip
LISTED = {"running": Power.RUNNING, "idle": Power.RUNNING, "in shutdown": Power.RUNNING, "paused": Power.PAUSED,
          "pmsuspended": Power.PAUSED}  # fmt: skip
EVENT = re.compile(r"event 'lifecycle' for domain '(?P<name>[^']+)': (?P<what>\w+) ?(?P<how>.*)")
NO_ANSWER = "failed to connect to the hypervisor"
NO_VIRSH = "virsh is not on this host (Debian package libvirt-clients)"


class LibvirtFailed(QemuFailed):
    """libvirt refused, or is not there; the message says why, in its words."""


class NoLibvirt(LibvirtFailed):
    """None answers at the URI."""


class DomainState(msgspec.Struct, frozen=True):
    power: Power
    reason: str = ""


class Virsh:
    """Each call is a process of its own: nothing hangs in ours, and there is no binding to build. `revive` is called
    where no libvirt answers; then there is one more try."""

    def __init__(self, uri: str, revive: Callable[[], Awaitable[None]] | None = None) -> None:
        self.uri, self._revive = uri, revive

    async def run(self, *words: str, seconds: float = ANSWER_SECONDS) -> str:
        try:
            return await self._run(words, seconds)
        except NoLibvirt:
            if self._revive is None:
                raise
        await self._revive()
        return await self._run(words, seconds)

    async def _run(self, words: tuple[str, ...], seconds: float) -> str:
        try:
            async with asyncio.timeout(seconds), self._virsh(*words) as process:
                printed, complaint = await process.communicate()
        except FileNotFoundError as error:
            raise LibvirtFailed(NO_VIRSH) from error
        except TimeoutError as error:
            raise LibvirtFailed(f"libvirt did not answer {words[0]} within {seconds:.0f} s") from error
        if process.returncode:
            lines = [line.removeprefix("error: ") for line in complaint.decode(errors="replace").splitlines() if line]
            told = " ".join(lines)[-500:] or f"virsh {words[0]} ended with {process.returncode}"
            raise NoLibvirt(told) if NO_ANSWER in told else LibvirtFailed(told)
        return printed.decode(errors="replace")

    async def states(self, *domains: str) -> dict[str, DomainState]:
        """Of all domains, or of those named that there are; by name."""
        if not self.uri.startswith("qemu"):
            return await self._listed(domains)
        try:
            told = await self.run("domstats", "--state", *domains)
        except LibvirtFailed as error:
            if domains and "failed to get domain" in str(error):
                return {}
            raise
        found: dict[str, dict[str, str]] = {}
        current: dict[str, str] = {}
        for line in told.splitlines():
            name, is_pair, value = line.strip().partition("=")
            if is_pair:
                current[name] = value
            elif line.startswith("Domain: "):
                current = found.setdefault(line.partition("'")[2].rstrip("'"), {})
        return {name: _state(int(each["state.state"]), int(each["state.reason"])) for name, each in found.items()}

    async def _listed(self, domains: tuple[str, ...]) -> dict[str, DomainState]:
        """For hypervisors that libvirt has no statistics of."""
        found: dict[str, DomainState] = {}
        for line in (await self.run("list", "--all")).splitlines():
            _, name, state = line.split(maxsplit=2)
            if not domains or name in domains:
                found[name] = DomainState(LISTED.get(state, Power.OFF))
        return found

    async def events(self) -> AsyncGenerator[tuple[str, str, str]]:
        """(domain, what happened, how), until libvirt ends or nobody listens any more."""
        try:
            async with self._virsh("event", "--event", "lifecycle", "--loop") as process:
                assert process.stdout is not None
                async for line in process.stdout:
                    if match := EVENT.match(line.decode(errors="replace").strip()):
                        yield match["name"], match["what"], match["how"]
        except FileNotFoundError as error:
            raise LibvirtFailed(NO_VIRSH) from error

    def _virsh(self, *words: str) -> AbstractAsyncContextManager[asyncio.subprocess.Process]:
        return child(
            "virsh", "-q", "-c", self.uri, *words, stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=dict(os.environ) | {"LC_ALL": "C"},
        )  # fmt: skip


def _state(state: int, reason: int) -> DomainState:
    if state in (RUNNING, BLOCKED, SHUTTING_DOWN):
        return DomainState(Power.RUNNING)
    if state in (PAUSED, SLEEPING):
        return DomainState(Power.PAUSED, BAD_PAUSES.get(reason, ""))
    return DomainState(Power.OFF)
