"""How much may go over a guest's network card: a queue and a filter of the kernel's at its tap."""

from __future__ import annotations

import asyncio
from pathlib import Path

from pileus.compute.drivers.hardware import Hardware, NetworkLimit
from pileus.compute.drivers.qemu_launch import BadSpec
from pileus.kit.child import child

TABLE = "netdev guest_limits"
LEAST_BURST = 32  # kilobytes; less than a few packets would let nothing through
LATENCY = "50ms"


def queue(tap: str, limit: NetworkLimit) -> list[str]:
    """What tc is told of what goes out at the tap, and so into the guest."""
    return ["tc", "qdisc", "replace", "dev", tap, "root", "tbf", "rate", f"{limit.average * 1000}bps",
            "burst", str(burst(limit) * 1000), "latency", LATENCY]  # fmt: skip


def rules(tap: str, limit: NetworkLimit) -> str:
    """What nft is told of what comes in at the tap, and so out of the guest."""
    chain = f"{TABLE} {tap}"
    hook = f'type filter hook ingress device "{tap}" priority 0; policy accept;'
    return (f"add table {TABLE}\nadd chain {chain} {{ {hook} }}\nflush chain {chain}\n"
            f"add rule {chain} limit rate over {limit.average} kbytes/second burst {burst(limit)} kbytes drop\n")


def burst(limit: NetworkLimit) -> int:
    """The kilobytes that may come at once, and so reach the peak."""
    return max(limit.burst, limit.peak // 10, limit.average // 10, LEAST_BURST)


async def limit_tap(tap: str, hardware: Hardware, namespace: Path | None) -> None:
    """Said twice: nothing more. Raises BadSpec where the kernel does not do it."""
    if hardware.inbound is not None:
        await _told(namespace, queue(tap, hardware.inbound))
    if hardware.outbound is not None:
        await _told(namespace, ["nft", "-f", "-"], rules(tap, hardware.outbound))


async def forget_limits(tap: str, hardware: Hardware, namespace: Path | None) -> None:
    """The filter would wait for another tap of that name. None there: do nothing."""
    if hardware.outbound is not None:
        chain = f"{TABLE} {tap}"
        await _told(namespace, ["nft", "-f", "-"], f"add table {TABLE}\nadd chain {chain}\ndelete chain {chain}\n")


async def _told(namespace: Path | None, words: list[str], text: str = "") -> None:
    inside = ["nsenter", f"--net={namespace}", "--"] if namespace is not None else []
    try:
        async with child(*inside, *words, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL,
                         stderr=asyncio.subprocess.PIPE) as process:  # fmt: skip
            _, complaint = await process.communicate(text.encode())
    except FileNotFoundError as error:
        raise BadSpec(f"this host has no {words[0]} to limit network cards with") from error
    if process.returncode:
        told = " ".join(complaint.decode(errors="replace").split())[-300:]
        raise BadSpec(f"this host cannot limit network cards: {told}")
