"""Takes frames with a VLAN tag from one link to another without it, and back: small programs at a link's ingress.

The kernel runs them (eBPF, classifier of tc), so that they outlive our process and need no VLAN support in the kernel.
Loading one needs the machine's root: the root of a user namespace is refused.
"""

import ctypes
import errno
import os
import platform
import struct

import msgspec

from pileus.network.engine.base import EngineFailed
from pileus.network.engine.linux import netlink as nl
from pileus.network.engine.linux.netlink import NetlinkFailed

NEWQDISC, NEWFILTER, DELFILTER, GETFILTER = 36, 44, 45, 46
CLSACT, CLSACT_INGRESS = 0xFFFF0000, 0xFFFFFFF2
ALL_PROTOCOLS = 0x0300                                       # ETH_P_ALL as it goes over the wire
BPF_PROG_LOAD, SCHED_CLS = 5, 3
BPF_SYSCALL = {"x86_64": 321, "aarch64": 280, "ppc64le": 361, "s390x": 351, "riscv64": 280}
VLAN_PUSH, VLAN_POP, REDIRECT = 18, 19, 23                   # helpers of the kernel, by number
VLAN_PRESENT, VLAN_TCI = 20, 24                              # where a frame's context has them
ABSENT = (errno.EINVAL, errno.ENODEV, errno.ENOENT)          # a filter, its queue, or its link
NEXT, DROP = -1, 2                                           # verdicts: ask the next filter; drop
_libc = ctypes.CDLL(None, use_errno=True)


class Steer(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Frames that come in at `link`: those tagged with `vlan` leave at `to` without the tag. With `tags`, all leave
    there with it. Links by index. `to` 0: instead of leaving somewhere, frames go on as they are then, and where a tag
    is taken off, those without it go nowhere."""

    link: int
    vlan: int
    to: int
    tags: bool = False

    @property
    def name(self) -> str:
        """Says everything, so that what is there can be compared with what should be."""
        return f"pileus.{'tag' if self.tags else 'untag'}.{self.vlan}.{self.to}"


def _instruction(code: int, target: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("=BBhi", code, source << 4 | target, offset, value)


def _move(target: int, value: int) -> bytes:
    return _instruction(0xB7, target, value=value)


def _copy(target: int, source: int) -> bytes:
    return _instruction(0xBF, target, source)


def _load(target: int, source: int, offset: int) -> bytes:
    return _instruction(0x61, target, source, offset)


def _call(helper: int) -> bytes:
    return _instruction(0x85, value=helper)


def _skip_if(target: int, value: int, count: int, *, equal: bool) -> bytes:
    return _instruction(0x15 if equal else 0x55, target, offset=count, value=value)


EXIT = _instruction(0x95)


def program(steer: Steer) -> bytes:
    """The instructions; r1 is the frame's context."""
    leave = _move(1, steer.to) + _move(2, 0) + _call(REDIRECT) + EXIT if steer.to else _move(0, NEXT) + EXIT
    if steer.tags:
        protocol = struct.unpack("=H", b"\x81\x00")[0]
        body = _move(2, protocol) + _move(3, steer.vlan) + _call(VLAN_PUSH)
        return body + _skip_if(0, 0, 2, equal=True) + _move(0, DROP) + EXIT + leave
    take = _copy(1, 6) + _call(VLAN_POP) + _skip_if(0, 0, 2, equal=True) + _move(0, DROP) + EXIT + leave
    skipped = len(take) // 8
    return (_copy(6, 1) + _load(2, 6, VLAN_PRESENT) + _skip_if(2, 0, 3 + skipped, equal=True)
            + _load(2, 6, VLAN_TCI) + _instruction(0x57, 2, value=0xFFF)
            + _skip_if(2, steer.vlan, skipped, equal=False) + take
            + _move(0, NEXT if steer.to else DROP) + EXIT)


def _loaded(instructions: bytes) -> int:
    """The descriptor of the program in the kernel."""
    number = BPF_SYSCALL.get(platform.machine())
    if number is None:
        raise EngineFailed(f"frames cannot be steered on {platform.machine()}")
    code, licence = ctypes.create_string_buffer(instructions, len(instructions)), ctypes.create_string_buffer(b"Apache")
    request = struct.pack("=IIQQIIQII", SCHED_CLS, len(instructions) // 8, ctypes.addressof(code),
                          ctypes.addressof(licence), 0, 0, 0, 0, 0).ljust(128, b"\0")
    packed = ctypes.create_string_buffer(request, len(request))
    descriptor = _libc.syscall(number, BPF_PROG_LOAD, packed, len(request))
    if descriptor < 0:
        error = ctypes.get_errno()
        if error == errno.EPERM:
            raise EngineFailed("VLANs of trunks can be steered by root only")
        raise EngineFailed(f"a program for VLANs was refused: {os.strerror(error)}")
    return descriptor


def _filter(steer: Steer) -> bytes:
    """By priority: one per VLAN, so that they are asked one after the other."""
    return struct.pack("=BxxxiIII", 0, steer.link, 1, CLSACT_INGRESS, _priority(steer) << 16 | ALL_PROTOCOLS)


def _priority(steer: Steer) -> int:
    return steer.vlan + 1


class Steering(nl.Netlink):
    """The steers of one network namespace."""

    def present(self, link: int) -> set[Steer]:
        """Those at one link, of ours."""
        body = struct.pack("=BxxxiIII", 0, link, 0, CLSACT_INGRESS, 0)
        try:
            found = self.dump(GETFILTER, body, f"list filters of link {link}")
        except NetlinkFailed as error:
            if error.errno in ABSENT:
                return set()                                  # without the queue that filters are at
            raise
        return {steer for body in found if (steer := _parsed(body)) is not None and steer.link == link}

    def settle(self, link: int, wanted: set[Steer]) -> tuple[set[Steer], set[Steer]]:
        """Give the link exactly these; what had to be removed, and what to be added."""
        there = self.present(link)
        for steer in sorted(there - wanted):
            self.remove(steer)
        for steer in sorted(wanted - there):
            self.add(steer)
        return there - wanted, wanted - there

    def add(self, steer: Steer) -> None:
        """In place of one of the same VLAN."""
        queue = struct.pack("=BxxxiIII", 0, steer.link, CLSACT, 0xFFFFFFF1, 0) + nl.text(1, "clsact")
        try:
            self.request(NEWQDISC, nl.CREATE | nl.EXCL, queue, f"add a queue to link {steer.link}")
        except NetlinkFailed as error:
            if error.errno != errno.EEXIST:
                raise
        descriptor = _loaded(program(steer))
        try:
            options = nl.nested(2, nl.u32(6, descriptor), nl.text(7, steer.name), nl.u32(8, 1))
            self.request(NEWFILTER, nl.CREATE, _filter(steer) + nl.text(1, "bpf") + options, f"add {steer}")
        finally:
            os.close(descriptor)

    def remove(self, steer: Steer) -> None:
        """Gone already, by itself or with its link: do nothing."""
        try:
            self.request(DELFILTER, 0, _filter(steer) + nl.text(1, "bpf"), f"remove {steer}")
        except NetlinkFailed as error:
            if error.errno not in ABSENT:
                raise


def _parsed(body: memoryview) -> Steer | None:
    _, link, _, _, _ = struct.unpack_from("=BxxxiIII", body)
    parts = dict(nl.attributes(body, 20))
    options = dict(nl.attributes(parts[2])) if 2 in parts else {}
    words = nl.as_text(options[7]).split(".") if 7 in options else []
    if len(words) != 4 or words[0] != "pileus":
        return None
    return Steer(link=link, vlan=int(words[2]), to=int(words[3]), tags=words[1] == "tag")
