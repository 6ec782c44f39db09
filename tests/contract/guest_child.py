"""A process of ours for the guest driver suite: makes some calls and is killed, at a step or after the last of them."""

import asyncio
import base64
import json
import os
import signal
import sys
from pathlib import Path

import msgspec

from pileus.compute.drivers.base import GuestSpec
from pileus.compute.drivers.fake import FakeDriver
from pileus.compute.drivers.libvirt import LibvirtDriver
from pileus.compute.drivers.libvirt_containers import ContainerDriver
from pileus.compute.drivers.libvirt_host import LibvirtSettings
from pileus.compute.drivers.qemu import QemuDriver, QemuSettings


async def main(task: dict[str, str]) -> None:
    def on_step(guest_id: str, step: str) -> None:
        if step == task["at"]:
            os.kill(os.getpid(), signal.SIGKILL)

    folder = Path(task["folder"])
    if task["kind"] == "fake":
        driver = FakeDriver("host-1", folder, on_step=on_step)
    elif task["kind"] in ("libvirt", "containers"):
        kind = ContainerDriver if task["kind"] == "containers" else LibvirtDriver
        driver = kind(LibvirtSettings(
            instances=folder, sockets=Path(task["sockets"]), hostname="host-1", uri=task["uri"],
            namespace=Path(task["namespace"]), kind="lxc" if kind is ContainerDriver else "qemu"),
            on_step=on_step)  # fmt: skip
    else:
        settings = QemuSettings(instances=folder, hostname="host-1", namespace=Path(task["namespace"]))
        driver = QemuDriver(settings, on_step=on_step)
    spec = msgspec.msgpack.decode(base64.b64decode(task["spec"]), type=GuestSpec)
    for call in task["calls"].split(","):
        if call == "ensure":
            await driver.ensure(spec)
        elif call == "run":
            await driver.run(spec.id)
        elif call == "suspend":
            await driver.power(spec.id, "suspended")
        elif call == "remove":
            await driver.remove(spec.id)
        else:
            raise ValueError(call)
    os.kill(os.getpid(), signal.SIGKILL)


asyncio.run(main(json.loads(sys.argv[1])))
