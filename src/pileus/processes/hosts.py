"""Hypervisor hosts on one machine: each a network namespace inside the sandbox, joined by an underlay."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import msgspec

from pileus.kit.child import child

UNDERLAY_BRIDGE = "underlay"
UNDERLAY = "100.127.255"              # of the range that RFC 6598 sets aside; nobody outside the sandbox sees it
MOST_HOSTS = 50
BOOT_ID = Path("/run/pileus-boot-id")


class EmbeddedHost(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    namespace: str                    # below /run/netns
    address: str                      # on the underlay
    boot_id: str                      # lasts as long as what runs in the sandbox


def names(count: int) -> list[str]:
    return [f"host-{number}" for number in range(1, count + 1)]


def boot_id() -> str:
    """Kept on the sandbox's own /run, so that it goes when the sandbox goes."""
    if not BOOT_ID.exists():
        half = BOOT_ID.with_suffix(".new")
        half.write_text(str(uuid.uuid4()))
        half.replace(BOOT_ID)
    return BOOT_ID.read_text()


async def ensure_hosts(count: int) -> list[EmbeddedHost]:
    """Make the namespaces and the underlay as far as they are not there. To be called inside the sandbox."""
    boot, present = boot_id(), _namespaces()
    hosts = [EmbeddedHost(name=name, namespace=name, address=f"{UNDERLAY}.{number}", boot_id=boot)
             for number, name in enumerate(names(count), 1)]
    links = await _links()
    steps: list[str] = []
    if UNDERLAY_BRIDGE not in links:
        steps += [f"link add {UNDERLAY_BRIDGE} type bridge forward_delay 0 mcast_snooping 0",
                  f"link set {UNDERLAY_BRIDGE} up"]
    steps += [f"netns add {host.namespace}" for host in hosts if host.namespace not in present]
    await _ip(steps)
    await _ip([step for host in hosts if f"u-{host.name}" not in links for step in (
        f"link add u-{host.name} type veth peer name underlay netns {host.namespace}",
        f"link set u-{host.name} master {UNDERLAY_BRIDGE} up")])
    for host in hosts:
        if f"u-{host.name}" not in links:
            await _ip(["link set lo up", f"address add {host.address}/24 dev underlay", "link set underlay up"],
                      host.namespace)
    return hosts


def _namespaces() -> set[str]:
    return {path.name for path in Path("/run/netns").glob("*")}


async def _links() -> set[str]:
    found = msgspec.json.decode(await _run("ip", "-j", "link") or b"[]")
    return {link["ifname"] for link in found}


async def _ip(steps: list[str], namespace: str | None = None) -> None:
    if steps:
        inside = ["-n", namespace] if namespace else []
        await _run("ip", *inside, "-batch", "-", given="\n".join(steps).encode())


async def _run(*command: str, given: bytes | None = None) -> bytes:
    """A program's output. One that is given nothing must not get a pipe: it may be gone before it is written to."""
    source = asyncio.subprocess.DEVNULL if given is None else asyncio.subprocess.PIPE
    async with asyncio.timeout(30), child(
            *command, stdin=source, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE) as process:
        out, err = await process.communicate(given)
    if process.returncode:
        raise OSError(f"{' '.join(command)}: {err.decode().strip()}")
    return out


def path_of(host: EmbeddedHost) -> Path:
    """Of the host's network namespace."""
    return Path("/run/netns", host.namespace)
