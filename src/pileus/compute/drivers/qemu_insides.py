"""What goes on in a guest: asked of its QEMU, of the agent in it, and of the kernel."""

import asyncio
import base64
import logging
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from pileus.compute.drivers.base import NO_AGENT, Diagnostics, DiskUse, GuestSpec, NicUse, Power
from pileus.compute.drivers.guest_folder import AGENT, GuestFolder
from pileus.compute.drivers.hardware import Hardware
from pileus.compute.drivers.qemu_process import QemuFailed, QemuProcess
from pileus.compute.drivers.taps import in_namespace

log = logging.getLogger(__name__)
AGENT_SECONDS = 10.0
TICKS = os.sysconf("SC_CLK_TCK")


async def ask_agent(folder: GuestFolder, command: str, arguments: dict[str, object]) -> object:
    """What the agent in the guest answers. Raises QemuFailed where none does, or it refuses."""
    try:
        async with asyncio.timeout(AGENT_SECONDS):
            reader, writer = await asyncio.open_unix_connection(sock=folder.connect(AGENT))
            try:
                number = secrets.randbelow(1 << 31)
                for name, given in (("guest-sync", {"id": number}), (command, arguments)):
                    writer.write(msgspec.json.encode({"execute": name, "arguments": given}) + b"\n")
                while True:  # answers to what others asked before may come first
                    answer = msgspec.json.decode(await reader.readline() or b"{}")
                    if answer.get("return") == number:
                        break
                answer = msgspec.json.decode(await reader.readline())
            finally:
                writer.close()
    except TimeoutError as error:
        raise QemuFailed(NO_AGENT) from error
    except msgspec.DecodeError as error:
        raise QemuFailed("its guest agent cannot be understood") from error
    if "error" in answer:
        raise QemuFailed(f"its guest agent refuses: {answer['error'].get('desc', '')}")
    return answer.get("return")


async def set_password(folder: GuestFolder, user: str, password: str) -> None:
    encoded = base64.b64encode(password.encode()).decode()
    await ask_agent(folder, "guest-set-user-password", {"username": user, "password": encoded, "crypted": False})


@asynccontextmanager
async def quiet(folder: GuestFolder, hardware: Hardware) -> AsyncIterator[None]:
    """The guest writes nothing meanwhile, and has written all it held back, as far as its agent can do that.

    Where an image demands it: raises QemuFailed if it cannot be had.
    """
    if not (hardware.quiesce or hardware.agent):
        yield
        return
    frozen = False
    try:
        await ask_agent(folder, "guest-fsfreeze-freeze", {})
        frozen = True
    except QemuFailed as error:
        if hardware.quiesce:
            raise QemuFailed(f"it could not be quiesced: {error}") from error
        log.info("guest %s is copied without being quiesced: %s", folder.id, error)
    try:
        yield
    finally:
        if frozen:
            await ask_agent(folder, "guest-fsfreeze-thaw", {})


async def diagnostics(process: QemuProcess, spec: GuestSpec, power: Power, namespace: Path | None) -> Diagnostics:
    processors = await process.execute("query-cpus-fast")
    disks = await process.execute("query-blockstats")
    assert isinstance(processors, list)
    assert isinstance(disks, list)
    seconds = [await asyncio.to_thread(_cpu_seconds, process.pid, int(each["thread-id"])) for each in processors]
    counted = await asyncio.to_thread(in_namespace, namespace, _interface_counts)
    return Diagnostics(
        power=power, uptime=await asyncio.to_thread(_uptime, process.pid), cpu_seconds=tuple(seconds),
        memory_mb=spec.memory_mb,
        nics=tuple(_nic_use(nic.mac, counted.get(nic.tap)) for nic in spec.nics),
        disks=tuple(_disk_use(each["stats"]) for each in disks if each.get("qdev")),
    )  # fmt: skip


def _disk_use(stats: dict[str, int]) -> DiskUse:
    return DiskUse(
        read_bytes=stats["rd_bytes"], read_requests=stats["rd_operations"], write_bytes=stats["wr_bytes"],
        write_requests=stats["wr_operations"],
        errors=stats.get("failed_rd_operations", 0) + stats.get("failed_wr_operations", 0),
    )  # fmt: skip


def _nic_use(mac: str, counts: tuple[int, int, int, int] | None) -> NicUse:
    """What the host's end sent, the guest has received."""
    if counts is None:
        return NicUse(mac=mac)
    return NicUse(mac=mac, rx_octets=counts[2], rx_packets=counts[3], tx_octets=counts[0], tx_packets=counts[1])


def _interface_counts() -> dict[str, tuple[int, int, int, int]]:
    """Bytes and packets in, bytes and packets out, of every interface of this thread's network namespace."""
    found: dict[str, tuple[int, int, int, int]] = {}
    for line in Path("/proc/thread-self/net/dev").read_text().splitlines()[2:]:
        name, _, numbers = line.partition(":")
        counts = [int(number) for number in numbers.split()]
        found[name.strip()] = (counts[0], counts[1], counts[8], counts[9])
    return found


def _cpu_seconds(pid: int, thread: int) -> float:
    fields = Path(f"/proc/{pid}/task/{thread}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _uptime(pid: int) -> int:
    began = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]) / TICKS
    return int(float(Path("/proc/uptime").read_text().split()[0]) - began)
