"""libvirt by its command virsh, at any URI: what it said, or why not."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator

import msgspec

from pileus.compute.drivers.base import Power
from pileus.compute.drivers.qemu_process import QemuFailed

ANSWER_SECONDS = 120.0
RUNNING, BLOCKED, PAUSED, SHUTTING_DOWN, OFF, CRASHED, SLEEPING = range(1, 8)
IO_ERROR, CRASHED_PAUSED, WATCHDOG = 5, 10, 4
BAD_PAUSES = {IO_ERROR: "a disk of its host is full or failed", CRASHED_PAUSED: "its kernel panicked",
              WATCHDOG: "its watchdog ran out"}  # fmt: skip
EVENT = re.compile(r"event 'lifecycle' for domain '(?P<name>[^']+)': (?P<what>\w+) ?(?P<how>.*)")


class LibvirtFailed(QemuFailed):
    """libvirt refused, or is not there; the message says why, in its words."""


class DomainState(msgspec.Struct, frozen=True):
    power: Power
    reason: str = ""


class Virsh:
    """Each call is a process of its own: nothing hangs in ours, and there is no binding to build."""

    def __init__(self, uri: str) -> None:
        self.uri = uri

    async def run(self, *words: str, seconds: float = ANSWER_SECONDS) -> str:
        process = await self._started(*words)
        try:
            async with asyncio.timeout(seconds):
                printed, complaint = await process.communicate()
        except TimeoutError as error:
            raise LibvirtFailed(f"libvirt did not answer {words[0]} within {seconds:.0f} s") from error
        finally:
            await _ended(process)
        if process.returncode:
            lines = [line.removeprefix("error: ") for line in complaint.decode(errors="replace").splitlines() if line]
            raise LibvirtFailed(" ".join(lines)[-500:] or f"virsh {words[0]} ended with {process.returncode}")
        return printed.decode(errors="replace")

    async def states(self, *domains: str) -> dict[str, DomainState]:
        """Of all domains, or of those named that there are; by name."""
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

    async def events(self) -> AsyncGenerator[tuple[str, str, str]]:
        """(domain, what happened, how), until libvirt ends or nobody listens any more."""
        process = await self._started("event", "--event", "lifecycle", "--loop")
        assert process.stdout is not None
        try:
            async for line in process.stdout:
                if match := EVENT.match(line.decode(errors="replace").strip()):
                    yield match["name"], match["what"], match["how"]
        finally:
            await _ended(process)

    async def _started(self, *words: str) -> asyncio.subprocess.Process:
        try:
            return await asyncio.create_subprocess_exec(
                "virsh", "-q", "-c", self.uri, *words, stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=dict(os.environ) | {"LC_ALL": "C"},
            )  # fmt: skip
        except FileNotFoundError as error:
            raise LibvirtFailed("virsh is not on this host (Debian package libvirt-clients)") from error


async def _ended(process: asyncio.subprocess.Process) -> None:
    """With its pipes read to their ends, so that nothing of it is left in the loop."""
    if process.returncode is None:
        process.kill()
        await process.communicate()


def _state(state: int, reason: int) -> DomainState:
    if state in (RUNNING, BLOCKED, SHUTTING_DOWN):
        return DomainState(Power.RUNNING)
    if state in (PAUSED, SLEEPING):
        return DomainState(Power.PAUSED, BAD_PAUSES.get(reason, ""))
    return DomainState(Power.OFF)
