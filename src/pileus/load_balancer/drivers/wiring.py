"""The network namespace of a load balancer, and its cards: pairs of links; one end is the network agent's to join."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec

from pileus.kit.child import child
from pileus.load_balancer.drivers.base import BalancerFailed, BalancerSpec, LegSpec

SECONDS = 30.0
FOLDER = Path("/run/netns")
# No addresses and routes but ours, and none of them is looked for elsewhere first.
QUIET = ("for name in all default; do cd /proc/sys/net/ipv6/conf/$name && echo 0 > accept_ra && echo 0 > accept_dad; "
         "done")


class Wiring:
    """`host`: the host's own network namespace, below /run/netns."""

    def __init__(self, host: str):
        self.host = host

    def space(self, balancer_id: str) -> str:
        return f"lb-{self.host}-{balancer_id[:13]}"

    def is_there(self, balancer_id: str) -> bool:
        return (FOLDER / self.space(balancer_id)).exists()

    async def ensure(self, spec: BalancerSpec) -> None:
        """Touches only what differs."""
        space = self.space(spec.id)
        if not self.is_there(spec.id):
            await run("ip", "netns", "add", space)
        await run("nsenter", f"--net={FOLDER / space}", "sh", "-c", QUIET)
        there, here = await _links(space), await _links(self.host)
        cards = {_card(leg): leg for leg in spec.legs}
        stale = [name for name in there if name.startswith("leg-") and name not in cards]
        await _ip(space, ["link set lo up", *(f"link delete {name}" for name in stale)])
        for name, leg in cards.items():
            if name not in there or leg.device not in here:
                if leg.device in here:
                    await _ip(self.host, [f"link delete {leg.device}"])
                elif name in there:
                    await _ip(space, [f"link delete {name}"])
                await _ip(self.host, [
                    f"link add {leg.device} mtu {leg.mtu} type veth peer name {name} netns {space} "
                    f"address {leg.mac} mtu {leg.mtu}"])
        await self._addresses(space, cards)

    async def _addresses(self, space: str, cards: dict[str, LegSpec]) -> None:
        found = msgspec.json.decode(await run("ip", "-n", space, "-j", "address") or b"[]")
        have: dict[str, set[str]] = {link["ifname"]: {
            f"{one['local']}/{one['prefixlen']}" for one in link.get("addr_info", ())
            if one.get("scope") != "link"} for link in found if "ifname" in link}
        steps = []
        for name, leg in cards.items():
            wanted = set(leg.addresses)
            steps += [f"address delete {one} dev {name}" for one in sorted(have.get(name, set()) - wanted)]
            steps += [f"address add {one} dev {name}{' nodad' if ':' in one else ''}"
                      for one in sorted(wanted - have.get(name, set()))]
            steps.append(f"link set {name} mtu {leg.mtu} up")
        for name, leg in cards.items():
            steps += [f"route replace default via {gateway} dev {name}" for gateway in leg.gateways]
            steps += [f"route replace {route.destination} via {route.next_hop} dev {name}" for route in leg.routes]
        await _ip(space, steps)

    async def drop(self, devices: list[str]) -> None:
        """The links go with either of their ends."""
        here = await _links(self.host) if (FOLDER / self.host).exists() else set()
        await _ip(self.host, [f"link delete {device}" for device in devices if device in here])

    async def remove(self, balancer_id: str, devices: list[str]) -> None:
        await self.drop(devices)
        if self.is_there(balancer_id):
            await run("ip", "netns", "delete", self.space(balancer_id))


def _card(leg: LegSpec) -> str:
    return f"leg-{leg.device.removeprefix('tap')}"


async def _links(space: str) -> set[str]:
    found = msgspec.json.decode(await run("ip", "-n", space, "-j", "link") or b"[]")
    return {link["ifname"] for link in found if "ifname" in link}


async def _ip(space: str, steps: list[str]) -> None:
    if steps:
        await run("ip", "-n", space, "-batch", "-", given="\n".join(steps).encode())


async def run(*command: str, given: bytes | None = None, **how: Any) -> bytes:
    """A program's output. Raises BalancerFailed with its words."""
    source = asyncio.subprocess.DEVNULL if given is None else asyncio.subprocess.PIPE
    try:
        async with asyncio.timeout(SECONDS), child(
                *command, stdin=source, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                **how) as process:
            out, err = await process.communicate(given)
    except TimeoutError as error:
        raise BalancerFailed(f"{command[0]}: not done within {SECONDS:g} s") from error
    except OSError as error:
        raise BalancerFailed(f"{command[0]}: {error.strerror}") from error
    if process.returncode:
        raise BalancerFailed(f"{' '.join(command[:4])}: {err.decode(errors='replace').strip()}")
    return out
