"""Random 4 KiB requests of a real guest to its volume, and of the same guest to a plain disk of its host, by fio.

python -m benchmarks.volume_io FOLDER IMAGE [rounds]

Boots IMAGE (guest-image/*.qcow2 of a state folder: Linux with an agent) with three more disks in FOLDER: a QCOW2 file
that its QEMU opens, a volume that a storage daemon serves, and one with fio, which this machine must have. The guest
reads and writes the first two by turns, past its own cache, at random places that were written before, with 1, 8 and 32
requests at once. Prints requests a second, and exits with 1 when the volume has less than 80 % of the plain disk in one
of these.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shutil
import statistics
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from pileus.compute.drivers.base import Disk, DiskKind, GuestSpec, GuestVolume, Image
from pileus.compute.drivers.guest_folder import AGENT, GuestFolder
from pileus.compute.drivers.qemu import QemuDriver, QemuSettings
from pileus.volume.drivers.base import ExportOptions
from pileus.volume.drivers.file import FileDriver

BAR, MIB, SECONDS, MOST_SECONDS = 0.8, 128, 2, 300.0
AT_ONCE = (1, 8, 32)
FIO = "/mnt/ld-linux-x86-64.so.2 --library-path /mnt /mnt/fio"
FIND = "cd /sys/block; for d in vd*; do s=$(cat $d/size); n=$(cat $d/serial); case $n in volume) v=$d;; " \
       "tools) t=$d;; ephemeral*) p=$d;; esac; done; "


async def ticks() -> AsyncIterator[None]:
    """Ten a second, for as long as anything here takes."""
    for _ in range(int(MOST_SECONDS * 10)):
        yield
        await asyncio.sleep(0.1)


async def in_guest(folder: GuestFolder, script: str) -> str:
    reader, writer = await asyncio.open_connection(sock=folder.connect(AGENT))

    async def ask(command: str, **arguments: Any) -> Any:
        writer.write(msgspec.json.encode({"execute": command, "arguments": arguments}) + b"\n")
        return json.loads(await reader.readline())["return"]

    try:
        pid = (await ask("guest-exec", path="/bin/sh", arg=["-c", script], **{"capture-output": True}))["pid"]
        async for _ in ticks():
            found = await ask("guest-exec-status", pid=pid)
            if found["exited"]:
                return base64.b64decode(found.get("out-data", "")).decode()
        raise TimeoutError(script)
    finally:
        writer.close()
        await writer.wait_closed()


async def rate(folder: GuestFolder, disk: str, way: str, at_once: int) -> float:
    """Requests a second, as fio tells."""
    words = (f"--name=x --filename=$d --rw=rand{way} --bs=4k --direct=1 --ioengine=libaio --iodepth={at_once} "
             f"--size={MIB}m --runtime={SECONDS} --time_based --randrepeat=0 --output-format=terse --terse-version=3")
    told = await in_guest(folder, f"{FIND} d=/dev/${disk}; {FIO} {words}")

    fields = told.strip().splitlines()[-1].split(";")
    return float(fields[7 if way == "read" else 48])


def make_tools(folder: Path) -> Path:
    """A file system with fio and the libraries it wants: the guest has neither."""
    tools = folder / "tools"
    tools.mkdir()
    program = shutil.which("fio")
    if program is None:
        raise SystemExit("fio is not installed (Debian: fio)")
    told = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
    for path in [program, *re.findall(r"(/\S+)", told)]:
        shutil.copy(path, tools)
    made = folder / "tools.ext4"
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", str(tools), str(made), "100M"], check=True)
    return made


async def main(folder: Path, image: Path, rounds: int) -> int:
    driver, volumes = QemuDriver(QemuSettings(instances=folder / "instances", hostname="host-1")), FileDriver(
        "here", folder / "volumes")
    await volumes.ensure("volume", 1)
    export = await volumes.export("volume", ExportOptions())
    await volumes.ensure("tools", 1)
    await volumes.fill("tools", str(make_tools(folder)), "raw")
    tools = await volumes.export("tools", ExportOptions(read_only=True))
    assert export is not None and tools is not None
    spec = GuestSpec(id=str(uuid.uuid4()), name="web", vcpus=1, memory_mb=512,
                     image=Image(id="linux", disk_format="qcow2", path=str(image)),
                     disks=(Disk(kind=DiskKind.ROOT, size_mb=1024, boot_order=0),
                            Disk(kind=DiskKind.EPHEMERAL, size_mb=1024)),
                     volumes=(GuestVolume(volume_id="volume", socket=export.socket, export=export.name),
                          GuestVolume(volume_id="tools", socket=tools.socket, export=tools.name, read_only=True)))
    guest = GuestFolder(folder / "instances" / spec.id)
    shares: dict[tuple[str, int], list[float]] = {(way, each): [] for each in AT_ONCE for way in ("read", "write")}
    try:
        await driver.ensure(spec)
        await driver.run(spec.id)
        async with asyncio.timeout(MOST_SECONDS):
            async for _ in ticks():
                if b"login:" in await driver.console_log(spec.id):
                    break
        for disk in ("p", "v"):
            await in_guest(guest, f"{FIND} dd if=/dev/zero of=/dev/${disk} bs=1M count={MIB} conv=fsync")
        await in_guest(guest, f"{FIND} mount -o ro /dev/$t /mnt")
        for _ in range(rounds):
            for (way, at_once), found in shares.items():
                plain, volume = [await rate(guest, disk, way, at_once) for disk in ("p", "v")]
                found.append(volume / plain)
                print(f"{way:5} {at_once:2} at once: plain disk {plain:6.0f}/s   volume {volume:6.0f}/s   "
                      f"{found[-1]:4.0%}", flush=True)
    finally:
        await driver.remove(spec.id)
        await driver.close()
        for volume_id in ("volume", "tools"):
            await volumes.remove(volume_id)
    medians = {f"{way} {at_once} at once": statistics.median(found) for (way, at_once), found in shares.items()}
    print("   ".join(f"{what} {share:.0%}" for what, share in medians.items()), f"  (median; bar {BAR:.0%})")
    return 0 if min(medians.values()) >= BAR else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(Path(sys.argv[1]).absolute(), Path(sys.argv[2]).absolute(),
                              int(sys.argv[3]) if len(sys.argv) > 3 else 5)))
