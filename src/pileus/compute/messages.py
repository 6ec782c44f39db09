"""What the parts of compute say to each other: commands to hosts, news from hosts."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec

from pileus.compute.drivers.base import Diagnostics, GuestSeen, GuestSpec, HostFacts, Image, Wanted
from pileus.kit.bus import Message

AGENT, CONDUCTOR = "compute.agent", "compute.conductor"


class EnsureImage(Message, kw_only=True, frozen=True):
    """Have the image in the host's cache."""

    topic: ClassVar[str] = AGENT
    image: Image


class EnsureDisks(Message, kw_only=True, frozen=True):
    """Have the guest's disks on the host: root, ephemeral, swap, config drive."""

    topic: ClassVar[str] = AGENT
    spec: GuestSpec


class EnsureGuest(Message, kw_only=True, frozen=True):
    """Have the guest defined with its interfaces plugged, paused or running."""

    topic: ClassVar[str] = AGENT
    reply: ClassVar[type] = GuestSeen
    spec: GuestSpec


class RunGuest(Message, kw_only=True, frozen=True):
    topic: ClassVar[str] = AGENT
    reply: ClassVar[type] = GuestSeen
    guest_id: str


class EnsureNoGuest(Message, kw_only=True, frozen=True):
    topic: ClassVar[str] = AGENT
    guest_id: str


class PowerGuest(Message, kw_only=True, frozen=True):
    """Bring the guest to on, off, paused or suspended; `soft_seconds` is how long it may take to shut itself down."""

    topic: ClassVar[str] = AGENT
    reply: ClassVar[type] = GuestSeen
    guest_id: str
    wanted: Wanted
    soft_seconds: float = 0


class RebootGuest(Message, kw_only=True, frozen=True):
    topic: ClassVar[str] = AGENT
    reply: ClassVar[type] = GuestSeen
    guest_id: str
    hard: bool


class AdjustGuest(Message, kw_only=True, frozen=True):
    """Give the guest the network cards and volumes of `spec`, and no other."""

    topic: ClassVar[str] = AGENT
    reply: ClassVar[type] = GuestSeen
    spec: GuestSpec


class SaveImage(Message, kw_only=True, frozen=True):
    """Have the guest's root disk, as it is now, as the content of an image that has none yet."""

    topic: ClassVar[str] = AGENT
    guest_id: str
    image_id: str


class FetchGuest(Message, kw_only=True, frozen=True):
    """Have the disks of a guest that is off on another host, where they stay."""

    topic: ClassVar[str] = AGENT
    spec: GuestSpec
    source: str


class ListFiles(Message, kw_only=True, frozen=True):
    """The names and sizes of the files that another host needs."""

    topic: ClassVar[str] = AGENT
    reply: ClassVar[Any] = dict[str, int]
    guest_id: str


class ReadFile(Message, kw_only=True, frozen=True):
    """A piece of one of those files."""

    topic: ClassVar[str] = AGENT
    reply: ClassVar[type] = bytes
    guest_id: str
    name: str
    offset: int
    length: int


class SetPassword(Message, kw_only=True, frozen=True):
    topic: ClassVar[str] = AGENT
    guest_id: str
    user: str
    password: str


class InterruptGuest(Message, kw_only=True, frozen=True):
    """Have the guest's kernel dump its memory."""

    topic: ClassVar[str] = AGENT
    guest_id: str


class ReadDiagnostics(Message, kw_only=True, frozen=True):
    topic: ClassVar[str] = AGENT
    reply: ClassVar[type] = Diagnostics
    guest_id: str


class FindConsole(Message, kw_only=True, frozen=True):
    """The path of the socket at which the guest's screen or serial port is."""

    topic: ClassVar[str] = AGENT
    reply: ClassVar[type] = str
    guest_id: str
    kind: Literal["vnc", "serial"]


class ListGuests(Message, kw_only=True, frozen=True):
    """All guests on the host, as they are now."""

    topic: ClassVar[str] = AGENT
    reply: ClassVar[Any] = tuple[GuestSeen, ...]


class ReadConsole(Message, kw_only=True, frozen=True):
    """The last `lines` of the serial console; all that is kept when None."""

    topic: ClassVar[str] = AGENT
    reply: ClassVar[type] = bytes
    guest_id: str
    lines: int | None = None


class HostSeen(Message, kw_only=True, frozen=True):
    """A sign of life: what the host has, and every guest on it. A new `boot_id` means that all that ran is gone."""

    topic: ClassVar[str] = CONDUCTOR
    host: str
    address: str
    boot_id: str
    facts: HostFacts
    can: tuple[str, ...] = ()
    guests: tuple[GuestSeen, ...] = msgspec.field(default_factory=tuple)
