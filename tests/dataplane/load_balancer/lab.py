"""A host with one network, a client and members on it, each in a network namespace: what the driver is tried on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from pileus.load_balancer.drivers.base import BalancerSpec, LegSpec, MemberSpec, Sight
from pileus.load_balancer.drivers.haproxy import HaproxyDriver
from pileus.load_balancer.drivers.wiring import run

ECHO = Path(__file__).with_name("echo.py")
VIP, VIP6 = "10.9.0.100", "fd09::100"
ADDRESSES = {"client": 2, "stranger": 3, "m1": 11, "m2": 12}
ID = "11111111-0000-4000-8000-00000000000a"
DEVICE = "taplbtest-vip"
SECONDS = 15.0


class Lab:
    """The network's agent is played by `join`."""

    def __init__(self, folder: Path):
        self.prefix = f"lbt{os.getpid()}"
        self.host = f"{self.prefix}-h"
        self.driver = HaproxyDriver(folder, self.host)
        self.servers: dict[str, asyncio.subprocess.Process] = {}

    def space(self, name: str) -> str:
        return f"{self.prefix}-{name}"

    async def make(self) -> None:
        await run("ip", "netns", "add", self.host)
        await self._ip(self.host, ["link add br0 type bridge", "link set br0 up", "link set lo up"])
        for name, number in ADDRESSES.items():
            space = self.space(name)
            await run("ip", "netns", "add", space)
            await self._ip(self.host, [f"link add v-{name} type veth peer name eth0 netns {space}",
                                       f"link set v-{name} master br0 up"])
            await self._ip(space, ["link set lo up", f"address add 10.9.0.{number}/24 dev eth0",
                                   f"address add fd09::{number}/64 dev eth0 nodad", "link set eth0 up"])

    async def close(self) -> None:
        for name in list(self.servers):
            await self.stop(name)
        await self.driver.remove(ID)
        for space in (self.host, *map(self.space, ADDRESSES)):
            with contextlib.suppress(Exception):
                await run("ip", "netns", "delete", space)

    async def _ip(self, space: str, steps: list[str]) -> None:
        await run("ip", "-n", space, "-batch", "-", given="\n".join(steps).encode())

    async def look(self) -> Sight:
        """As the host's agent does: what a look found amiss is mended."""
        found = await self.driver.look()
        for balancer_id in await self.driver.fallen():
            await self.driver.mend(balancer_id)
        return found[ID]

    async def join(self) -> None:
        await self._ip(self.host, [f"link set {DEVICE} master br0 up"])

    def spec(self, **more: Any) -> BalancerSpec:
        leg = LegSpec(device=DEVICE, mac="fa:16:3e:09:00:64", mtu=1450,
                      addresses=(f"{VIP}/24", f"{VIP6}/64"), gateways=("10.9.0.1",))
        return BalancerSpec(id=ID, legs=(leg,), addresses=(VIP, VIP6), **more)

    async def have(self, **more: Any) -> BalancerSpec:
        spec = self.spec(**more)
        await self.driver.ensure(spec)
        await self.join()
        return spec

    def pids(self) -> list[int]:
        """Of the load balancer's processes."""
        mark = str(self.driver.folder / ID).encode()
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if path.read_bytes().startswith(b"haproxy") and mark in path.read_bytes():
                    found.append(int(path.parent.name))
        return sorted(found)

    async def serve(self, name: str, port: int = 80, address: str = "") -> None:
        address = address or f"10.9.0.{ADDRESSES[name]}"
        self.servers[name] = await asyncio.create_subprocess_exec(
            "ip", "netns", "exec", self.space(name), sys.executable, str(ECHO), name, address, str(port),
            stderr=asyncio.subprocess.DEVNULL)
        await self.until(lambda: self._answers(name, address, port), f"{name} serves")

    async def _answers(self, name: str, address: str, port: int) -> bool:
        shown = f"[{address}]" if ":" in address else address
        return (await self.curl(f"http://{shown}:{port}/", at=name))[0] == 200

    async def stop(self, name: str) -> None:
        process = self.servers.pop(name)
        process.kill()
        await process.wait()

    async def curl(self, url: str, *options: str, at: str = "client") -> tuple[int, dict[str, str], Any]:
        """Status, headers in small letters, and body, of JSON; status 0: no answer."""
        process = await asyncio.create_subprocess_exec(
            "ip", "netns", "exec", self.space(at), "curl", "-s", "-i", "-g", "-m", "5", *options, url,
            stdout=asyncio.subprocess.PIPE)
        out, _ = await process.communicate()
        head, _, body = out.decode().partition("\r\n\r\n")
        lines = head.split("\r\n")
        if process.returncode or not lines[0].startswith("HTTP/"):
            return 0, {}, None
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        with contextlib.suppress(ValueError):
            return int(lines[0].split()[1]), headers, json.loads(body)
        return int(lines[0].split()[1]), headers, body

    async def until(self, holds: Any, what: str, seconds: float = SECONDS) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not await holds():                          # noqa: ASYNC110 - of the world outside
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"not within {seconds:g} s: {what}") from None


def member(name: str, **more: Any) -> MemberSpec:
    return MemberSpec(**{"id": name, "address": f"10.9.0.{ADDRESSES[name]}", "port": 80} | more)
