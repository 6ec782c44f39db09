"""Whether members of UDP pools answer, asked from within the load balancer's namespace."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

import msgspec

from pileus.kit.network_namespaces import entered
from pileus.load_balancer.drivers.base import MemberSpec, MonitorSpec, PoolSpec
from pileus.load_balancer.drivers.haproxy_config import codes


class Watched(msgspec.Struct):
    """A member: whether it answers, how often it did otherwise since, and when it is asked next."""

    up: bool = True
    otherwise: int = 0
    due_at: float = 0.0


class Watch:
    """Of one load balancer's members."""

    def __init__(self, namespace: Path, now: Callable[[], float] = time.monotonic):
        self.namespace, self.now = namespace, now
        self.known: dict[str, Watched] = {}

    @property
    def down(self) -> frozenset[str]:
        return frozenset(member_id for member_id, watched in self.known.items() if not watched.up)

    async def look(self, pools: list[PoolSpec]) -> dict[str, bool]:
        """Ask whoever is due, all at once; whether each member that is watched answers."""
        asked = [(pool.monitor, member) for pool in pools if pool.monitor is not None for member in pool.members]
        self.known = {member.id: self.known.get(member.id, Watched()) for _, member in asked}
        due = [(monitor, member) for monitor, member in asked if self.known[member.id].due_at <= self.now()]
        answers = await asyncio.gather(*(self._answers(monitor, member) for monitor, member in due))
        for (monitor, member), answer in zip(due, answers, strict=True):
            self._note(self.known[member.id], monitor, answer)
        return {member_id: watched.up for member_id, watched in self.known.items()}

    def _note(self, watched: Watched, monitor: MonitorSpec, answer: bool) -> None:
        watched.due_at = self.now() + monitor.delay
        watched.otherwise = 0 if answer == watched.up else watched.otherwise + 1
        if watched.otherwise >= (monitor.fall if watched.up else monitor.rise):
            watched.up, watched.otherwise = answer, 0

    async def _answers(self, monitor: MonitorSpec, member: MemberSpec) -> bool:
        place = member.monitor_address or member.address, member.monitor_port or member.port
        kind = socket.SOCK_DGRAM if monitor.type == "UDP-CONNECT" else socket.SOCK_STREAM
        try:
            with self._socket(place[0], kind) as connection:
                try:
                    async with asyncio.timeout(monitor.timeout):
                        return await self._ask(connection, monitor, place)
                except TimeoutError:
                    return monitor.type == "UDP-CONNECT"         # nobody said that nobody is there
        except OSError:
            return False

    async def _ask(self, connection: socket.socket, monitor: MonitorSpec, place: tuple[str, int]) -> bool:
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, place)
        if monitor.type == "UDP-CONNECT":
            await loop.sock_sendall(connection, b"\n")
            await loop.sock_recv(connection, 1)
        elif monitor.type == "HTTP":
            host = f"Host: {monitor.domain}\r\n" if monitor.domain else ""
            await loop.sock_sendall(
                connection, f"{monitor.method} {monitor.path} HTTP/{monitor.http_version}\r\n{host}\r\n".encode())
            words = (await loop.sock_recv(connection, 1024)).split()
            return len(words) > 1 and words[0].startswith(b"HTTP/") and words[1].decode(errors="replace") in codes(
                monitor.codes)
        return True

    def _socket(self, address: str, kind: socket.SocketKind) -> socket.socket:
        family = socket.AF_INET6 if ip_address(address).version == 6 else socket.AF_INET
        with entered(self.namespace):
            made = socket.socket(family, kind)
        made.setblocking(False)
        return made
