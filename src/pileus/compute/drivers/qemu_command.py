"""A guest's description as the arguments of QEMU; pure, so it can be read and tested without one."""

from pileus.compute.drivers.base import GuestSpec
from pileus.compute.drivers.guest_folder import SCREEN
from pileus.compute.drivers.guest_volumes import IO_THREAD, node, tls_object
from pileus.compute.drivers.hardware import Hardware
from pileus.compute.drivers.qemu_devices import devices, more_serial_ports, nic_backend
from pileus.compute.drivers.qemu_launch import DiskFile, JsonObject, Launch, hardware_of
from pileus.compute.drivers.qemu_machine import machine, text

SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
# As QEMU's throttling names them.
LIMITS = {f"{way}-{what}": f"{short}-{way}" for way in ("read", "write", "total")
          for what, short in (("bytes", "bps"), ("iops", "iops"))}  # fmt: skip


def command(spec: GuestSpec, launch: Launch) -> list[str]:
    """The whole argument list. The guest is not let run; devices are all JSON, since QEMU makes those last."""
    wanted = hardware_of(spec)
    arguments = [launch.program, "-name", f"guest={spec.name.replace(',', ',,')},debug-threads=on", "-uuid", spec.id]
    arguments += ["-S", "-no-shutdown", "-nodefaults", "-no-user-config", "-display", "none", "-sandbox", SANDBOX]
    arguments += ["-pidfile", "pid", "-msg", "timestamp=on"]
    arguments += machine(spec, launch)
    arguments += channels(wanted, launch)
    for disk in launch.disks:
        if disk.limited:
            arguments += ["-object", text(limits(wanted, disk))]
        arguments += ["-blockdev", text(block_node(disk))]
        if disk.limited:
            filter: JsonObject = {"driver": "throttle", "node-name": f"limited-{disk.name}"}
            filter |= {"throttle-group": f"limits-{disk.name}", "file": f"disk-{disk.name}"}
            arguments += ["-blockdev", text(filter)]
    if spec.volumes:
        arguments += ["-object", text(IO_THREAD)]
    if any(volume.address for volume in spec.volumes):
        arguments += ["-object", text(tls_object(launch.certificates))]
    for volume in spec.volumes:
        arguments += ["-blockdev", text(node(volume))]
    for nic in spec.nics:
        arguments += ["-netdev", text(nic_backend(spec, nic))]
    if launch.memory is not None:
        arguments += ["-incoming", f"fd:{launch.memory}"]
    arguments += ["-vnc", f"unix:{SCREEN}"]
    for device in devices(spec, launch):
        arguments += ["-device", text(device)]
    if wanted.watchdog:
        arguments += ["-action", f"watchdog={wanted.watchdog}"]
    return arguments


def channels(wanted: Hardware, launch: Launch) -> list[str]:
    """Monitor, console and guest agent, each on a socket that listens already; further serial ports; the TPM."""
    ends = {name: f"socket,id={name},fd={fd},server=on,wait=off" for name, fd in launch.sockets.items()}
    ends["console"] += ",logfile=console.log,logappend=on"
    ends |= {name: f"socket,id={name},path={name},server=on,wait=off" for name in more_serial_ports(wanted)}
    arguments: list[str] = []
    for end in ends.values():
        arguments += ["-chardev", end]
    if wanted.tpm and launch.tpm is not None:
        arguments += ["-chardev", f"socket,id=tpm,fd={launch.tpm}", "-tpmdev", "emulator,id=tpm0,chardev=tpm"]
    return [*arguments, "-mon", "chardev=monitor,mode=control"]


def limits(wanted: Hardware, disk: DiskFile) -> JsonObject:
    """Each disk has its own; a flavor says what one of them may do."""
    found: JsonObject = {}
    for name, limit in wanted.disk_limits.items():
        told = LIMITS[name]
        found |= {told: limit.rate} if limit.rate else {}
        found |= {f"{told}-max": limit.burst} if limit.burst else {}
        found |= {f"{told}-max-length": limit.burst_seconds} if limit.burst_seconds else {}
    return {"qom-type": "throttle-group", "id": f"limits-{disk.name}", "limits": found}


def block_node(disk: DiskFile) -> JsonObject:
    file: JsonObject = {"driver": "file", "filename": disk.file, "discard": "unmap"}
    node: JsonObject = {"driver": disk.format, "node-name": f"disk-{disk.name}", "file": file, "discard": "unmap"}
    if disk.read_only:
        node["read-only"] = True
        file["read-only"] = True
    return node
