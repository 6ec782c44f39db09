"""Bidirectional Forwarding Detection (RFC 5880, 5881): whether a neighbour on the next hop still speaks.

Asynchronous mode over a single hop, without authentication, echo or demand mode.
"""

import asyncio
import errno
import logging
import random
import socket
import struct
from collections.abc import Callable, Iterable
from enum import IntEnum

import msgspec

from pileus.network.engine.linux import namespaces

log = logging.getLogger(__name__)
PORT = 3784
SOURCES = range(49152, 65536)
HOPS = 255                # of what was sent by a neighbour, and by nobody further away
INTERVAL = 1_000_000      # microseconds between packets, of ours and of what we can take
MULTIPLIER = 5            # so many may be lost before a side is given up
EXPIRED, NEIGHBOUR_DOWN, ADMINISTRATIVE = 1, 3, 7         # diagnostics
POLL, FINAL, AUTHENTICATED, MULTIPOINT = 0x20, 0x10, 0x04, 0x01
IP_RECVTTL = 12
FORM = struct.Struct(">BBBBIIIII")


class State(IntEnum):
    ADMIN_DOWN, DOWN, INIT, UP = range(4)


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """A control packet. Intervals are in microseconds: the least between what is sent, and what can be taken."""

    state: State
    mine: int
    yours: int = 0
    diagnostic: int = 0
    flags: int = 0
    multiplier: int = MULTIPLIER
    sends: int = INTERVAL
    takes: int = INTERVAL

    def packed(self) -> bytes:
        return FORM.pack(1 << 5 | self.diagnostic, self.state << 6 | self.flags, self.multiplier, FORM.size, self.mine,
                         self.yours, self.sends, self.takes, 0)


def parse(data: bytes) -> Control | None:
    """None for what RFC 5880, 6.8.6 wants discarded."""
    if len(data) < FORM.size:
        return None
    first, second, multiplier, length, mine, yours, sends, takes, _ = FORM.unpack_from(data)
    state, flags = State(second >> 6), second & 0x3F
    if first >> 5 != 1 or not FORM.size <= length <= len(data) or not multiplier or not mine:
        return None
    if flags & (AUTHENTICATED | MULTIPOINT) or not yours and state > State.DOWN:
        return None
    return Control(state=state, mine=mine, yours=yours, diagnostic=first & 0x1F, flags=flags, multiplier=multiplier,
                   sends=sends, takes=takes)


class Session:
    """What one side knows of the other; it neither sends nor waits."""

    def __init__(self) -> None:
        self.state, self.diagnostic = State.DOWN, 0
        self.mine, self.theirs = random.randrange(1, 1 << 32), 0
        self.takes, self.silence = 1, 0.0     # the other side's least interval; seconds after which it is given up

    def hear(self, heard: Control) -> None:
        self.theirs, self.takes = heard.mine, heard.takes
        self.silence = heard.multiplier * max(INTERVAL, heard.sends) / 1e6
        if self.state is State.ADMIN_DOWN:
            return
        if heard.state is State.ADMIN_DOWN or (heard.state is State.DOWN and self.state is State.UP):
            if self.state is not State.DOWN:
                self.state, self.diagnostic = State.DOWN, NEIGHBOUR_DOWN
        elif self.state is State.DOWN and heard.state is not State.UP:
            self.state = State.UP if heard.state is State.INIT else State.INIT
        elif self.state is State.INIT and heard.state is not State.DOWN:
            self.state = State.UP
        if self.state is State.UP:
            self.diagnostic = 0

    def expire(self) -> None:
        """It was silent for too long."""
        self.theirs = 0
        if self.state in (State.INIT, State.UP):
            self.state, self.diagnostic = State.DOWN, EXPIRED

    def say(self, flags: int = 0) -> Control:
        return Control(state=self.state, diagnostic=self.diagnostic, flags=flags, mine=self.mine, yours=self.theirs)

    @property
    def pause(self) -> float:
        """Seconds until the next packet; not all sides are to speak at the same moments."""
        return max(INTERVAL, self.takes) / 1e6 * random.uniform(0.75, 1.0)


class Neighbour(msgspec.Struct, frozen=True):
    """The other end, and our own on a link of a router."""

    address: str
    own: str
    link: str


class Talk:
    """A session on its link, with a socket to hear and one to speak."""

    def __init__(self, neighbour: Neighbour, on_change: Callable[["Talk"], None]):
        """In the router's namespace. Raises OSError."""
        self.neighbour, self.on_change = neighbour, on_change
        self.session = Session()
        self.loop = asyncio.get_running_loop()
        self.ear, self.mouth = _socket(neighbour), _socket(neighbour)
        try:
            self.ear.bind((neighbour.own, PORT))
            _bind_any(self.mouth, neighbour.own)
        except OSError:
            self.ear.close()
            self.mouth.close()
            raise
        self.loop.add_reader(self.ear, self._read)
        self.sending: asyncio.Handle = self.loop.call_soon(self._send)
        self.waiting: asyncio.TimerHandle | None = None

    def close(self) -> None:
        self.session.state, self.session.diagnostic = State.ADMIN_DOWN, ADMINISTRATIVE
        self._put(0)
        self.sending.cancel()
        if self.waiting is not None:
            self.waiting.cancel()
        self.loop.remove_reader(self.ear)
        self.ear.close()
        self.mouth.close()

    def _read(self) -> None:
        try:
            data, beside, _, sender = self.ear.recvmsg(512, 64)
        except BlockingIOError:
            return
        hops = next((struct.unpack("=i", told)[0] for _, kind, told in beside if kind in (
            socket.IP_TTL, socket.IPV6_HOPLIMIT)), 0)
        heard = parse(data)
        if heard is None or hops != HOPS or sender[0] != self.neighbour.address or (
                heard.yours not in (0, self.session.mine)):
            return
        before = self.session.state
        self.session.hear(heard)
        if heard.flags & POLL:
            self._put(FINAL)
        if self.waiting is not None:
            self.waiting.cancel()
        self.waiting = self.loop.call_later(self.session.silence, self._expire)
        self._changed(before)

    def _expire(self) -> None:
        before = self.session.state
        self.session.expire()
        self._changed(before)

    def _changed(self, before: State) -> None:
        if self.session.state is before:
            return
        self._put(0)                                          # the other side need not wait for the next turn
        if State.UP in (before, self.session.state):
            self.on_change(self)

    def _send(self) -> None:
        if self.session.takes:                                # one that takes nothing is told nothing
            self._put(0)
        self.sending = self.loop.call_later(self.session.pause, self._send)

    def _put(self, flags: int) -> None:
        try:
            self.mouth.sendto(self.session.say(flags).packed(), (self.neighbour.address, PORT))
        except OSError as error:
            log.debug("nothing sent to next hop %s: %s", self.neighbour.address, error)


class Watch:
    """The next hops of one router. `on_change` is called whenever one begins to speak, or falls silent."""

    def __init__(self, namespace: str, on_change: Callable[[], None]):
        self.namespace, self.on_change = namespace, on_change
        self.talks: dict[tuple[Neighbour, int], Talk] = {}

    @property
    def silent(self) -> set[tuple[str, str]]:
        """Links and addresses."""
        return {(each.link, each.address) for (each, _), talk in self.talks.items()
                if talk.session.state is not State.UP}

    def close(self) -> None:
        for talk in self.talks.values():
            talk.close()
        self.talks = {}

    def update(self, wanted: Iterable[Neighbour]) -> None:
        """A link that was made anew is another. Raises OSError."""
        wanted = set(wanted)
        if not wanted and not self.talks:
            return
        with namespaces.entered(self.namespace):
            neighbours = {(each, socket.if_nametoindex(each.link)) for each in wanted}
            for gone in self.talks.keys() - neighbours:
                self.talks.pop(gone).close()
            for fresh in neighbours - self.talks.keys():
                self.talks[fresh] = Talk(fresh[0], self._turned)

    def _turned(self, talk: Talk) -> None:
        now = "speaks" if talk.session.state is State.UP else "is silent"
        log.warning("next hop %s on %s in %s %s", talk.neighbour.address, talk.neighbour.link, self.namespace, now)
        self.on_change()


def _socket(neighbour: Neighbour) -> socket.socket:
    """One for packets of neighbours on the link, that tells from how far they come."""
    six = ":" in neighbour.own
    made = socket.socket(socket.AF_INET6 if six else socket.AF_INET,
                         socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, neighbour.link.encode())
    if six:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, HOPS)
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
    else:
        made.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, HOPS)
        made.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
    return made


def _bind_any(made: socket.socket, own: str) -> None:
    *most, last = random.sample(SOURCES, 100)
    for port in most:
        try:
            made.bind((own, port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return
    made.bind((own, last))
