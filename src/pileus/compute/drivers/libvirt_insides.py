"""What goes on in a domain, and a copy of its disk while it runs."""

from __future__ import annotations

import asyncio
import xml.etree.ElementTree as xml
from pathlib import Path

from pileus.compute.drivers.base import NO_AGENT, Diagnostics, DiskUse, GuestSpec, NicUse, Power
from pileus.compute.drivers.qemu_launch import hardware_of
from pileus.compute.drivers.virsh import LibvirtFailed, Virsh

COPY_SECONDS = 3600.0


async def copy_while_running(virsh: Virsh, spec: GuestSpec, domain: Path, into: Path) -> None:
    """The guest's root disk as it is at the end of the copying; quiet only for that moment, where its agent can."""
    target = await asyncio.to_thread(root_target, domain)
    try:
        await virsh.run("blockjob", spec.id, target, "--abort")  # what an earlier try left
    except LibvirtFailed as error:
        if "not have an active block job" not in str(error):
            raise
    await asyncio.to_thread(into.unlink, missing_ok=True)
    await virsh.run("blockcopy", spec.id, target, "--dest", str(into), "--format", "qcow2", "--transient-job", "--wait",
                    seconds=COPY_SECONDS)  # fmt: skip
    frozen = await freeze(virsh, spec)
    try:
        await virsh.run("blockjob", spec.id, target, "--abort")
    finally:
        if frozen:
            await virsh.run("domfsthaw", spec.id)


async def set_password(virsh: Virsh, guest_id: str, user: str, password: str) -> None:
    try:
        await virsh.run("set-user-password", guest_id, user, password)
    except LibvirtFailed as error:
        if "agent is not" not in str(error):
            raise
        raise LibvirtFailed(NO_AGENT) from error


async def freeze(virsh: Virsh, spec: GuestSpec) -> bool:
    """Where an image demands it: raises LibvirtFailed if it cannot be had."""
    hardware = hardware_of(spec)
    if not (hardware.quiesce or hardware.agent):
        return False
    try:
        await virsh.run("domfsfreeze", spec.id)
    except LibvirtFailed as error:
        if hardware.quiesce:
            raise LibvirtFailed(f"it could not be quiesced: {error}") from error
        return False
    return True


def root_target(domain: Path) -> str:
    for disk in xml.parse(domain).getroot().findall("devices/disk"):
        target = disk.find("target")
        if disk.findtext("serial") == "root" and target is not None:
            return target.get("dev", "")
    raise LibvirtFailed("it has no root disk on this host")


async def diagnostics(virsh: Virsh, spec: GuestSpec, power: Power) -> Diagnostics:
    told = await virsh.run("domstats", spec.id, "--vcpu", "--interface", "--block", "--balloon")
    found = dict(line.strip().split("=", 1) for line in told.splitlines() if "=" in line)

    def number(name: str) -> int:
        return int(found.get(name, "0"))

    by_tap = {found[f"net.{index}.name"]: index for index in range(number("net.count"))}
    return Diagnostics(
        power=power, memory_mb=spec.memory_mb,
        cpu_seconds=tuple(number(f"vcpu.{index}.time") / 1e9 for index in range(number("vcpu.current"))),
        nics=tuple(NicUse(mac=nic.mac) if (index := by_tap.get(nic.tap)) is None else NicUse(
            mac=nic.mac, rx_octets=number(f"net.{index}.rx.bytes"), rx_packets=number(f"net.{index}.rx.pkts"),
            tx_octets=number(f"net.{index}.tx.bytes"), tx_packets=number(f"net.{index}.tx.pkts"))
            for nic in spec.nics),
        disks=tuple(DiskUse(
            read_bytes=number(f"block.{index}.rd.bytes"), read_requests=number(f"block.{index}.rd.reqs"),
            write_bytes=number(f"block.{index}.wr.bytes"), write_requests=number(f"block.{index}.wr.reqs"))
            for index in range(number("block.count"))))  # fmt: skip
