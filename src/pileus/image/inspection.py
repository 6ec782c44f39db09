"""Does an image hold what its disk_format says, and nothing that would reach into the host? Asked while it streams."""

from __future__ import annotations

from oslo_utils.imageutils.format_inspector import (
    ALL_FORMATS,
    FileInspector,
    ImageFormatError,
    InspectWrapper,
    SafetyCheckFailed,
)

from pileus.image.faults import BadFormat
from pileus.image.stores.base import Piece

# What content may be found under which disk_format. A raw disk may begin with a partition table or be encrypted, and
# most ISO images can also be started from a disk. Formats that are not named here have no content to be told by.
ALLOWED: dict[str, frozenset[str]] = {
    "raw": frozenset({"raw", "gpt", "luks"}), "ami": frozenset({"raw", "gpt"}), "iso": frozenset({"iso", "gpt"}),
    "qcow2": frozenset({"qcow2"}), "vmdk": frozenset({"vmdk"}), "vdi": frozenset({"vdi"}),
    "vhd": frozenset({"vhd"}), "vhdx": frozenset({"vhdx"}), "gpt": frozenset({"gpt"}), "luks": frozenset({"luks"})}
UNCHECKED = frozenset({"raw", "gpt", "iso"})              # formats that cannot refer to anything outside themselves
_STEP = 1 << 16                 # a format may tell where to look on only before that place has gone by
_TO_THE_END = frozenset({"vmdk"})                         # its footer overrides its header


class _Feed:
    """The file-like thing the library reads from; its `read` gives what we were given."""

    piece = b""

    def read(self, size: int) -> bytes:
        return self.piece


class Inspection:
    """`feed` the content piece by piece, then `verdict` gives its virtual size. Both raise BadFormat: `verdict` always
    where it would reach outside itself; else only if it must match what it is said to be."""

    def __init__(self, disk_format: str | None, container_format: str | None, *, must_match: bool = True):
        self.claimed, self.must_match = disk_format or "", must_match
        self.wanted = ALLOWED.get(self.claimed, frozenset()) if container_format == "bare" else frozenset()
        self._feed, self._size = _Feed(), 0
        expected = self.claimed if must_match and self.claimed in ALL_FORMATS and self.claimed != "raw" else None
        self._wrapper = InspectWrapper(self._feed, expected) if self.wanted else None      # type: ignore[arg-type]
        self._decided = False

    def feed(self, piece: Piece) -> None:
        self._size += len(piece)
        if self._wrapper is None or self._decided:
            return
        try:
            for first in range(0, len(piece), _STEP):
                self._feed.piece = bytes(piece[first:first + _STEP])
                self._wrapper.read(len(self._feed.piece))
                if self._is_decided(self._wrapper):
                    self._decided = True
                    return
        except Exception as error:        # the library raises whatever its parsers trip over
            self._differs(str(error), error)
            self._wrapper = None

    def _is_decided(self, wrapper: InspectWrapper) -> bool:
        """Once all that is to be known of the format that it turned out to be was read."""
        found = wrapper.formats
        return self.claimed not in _TO_THE_END and found is not None and all(each.complete for each in found)

    def _differs(self, reason: str, error: Exception | None = None) -> None:
        if self.must_match:
            raise BadFormat(claimed=self.claimed, reason=reason) from error

    def verdict(self) -> int | None:
        """None also where it is not what it is said to be, and need not be."""
        if self._wrapper is None:
            return None
        try:
            self._wrapper.close()
            return self._judge(self._wrapper.formats or [])
        except SafetyCheckFailed as error:
            raise BadFormat(claimed=self.claimed, reason=str(error)) from error
        except ImageFormatError as error:
            return self._differs(str(error), error)

    def _judge(self, found: list[FileInspector]) -> int | None:
        names = {str(inspector) for inspector in found}
        same = names <= self.wanted and (self.claimed == "raw" or self.claimed in names | {"ami"})
        if not same:
            self._differs(f"it is {' and '.join(sorted(names)) or 'unknown'}")
        for inspector in found:
            if str(inspector) not in UNCHECKED:
                inspector.safety_check()
        if not same:
            return None
        if self.claimed in UNCHECKED:
            return self._size
        size = next((inspector.virtual_size for inspector in found if str(inspector) == self.claimed), self._size)
        return size if size >= 0 else self._differs("it is cut off")     # its header ends behind its content
