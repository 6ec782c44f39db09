"""Microversions: a named ledger, and fields that exist only inside a window of it."""

from __future__ import annotations

import functools
import re
import types
import typing
from typing import Annotated, Any, NamedTuple

import msgspec


class Version(NamedTuple):
    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


def parse(text: str) -> Version:
    found = re.fullmatch(r"(0|[1-9]\d{0,8})\.(0|[1-9]\d{0,8})", text)
    if not found:
        raise ValueError(f"API Version String {text} is of invalid format. Must be of format MajorNum.MinorNum.")
    return Version(int(found[1]), int(found[2]))


class Ledger:
    """Every microversion of one service, oldest first, each with its one-line promise."""

    def __init__(self, service_type: str, oldest: str, *, header: str | None = None):
        self.service_type, self.header = service_type, header
        self.entries: dict[Version, str] = {parse(oldest): "first version"}

    def add(self, text: str, promise: str) -> Version:
        version = parse(text)
        if version <= self.newest:
            raise ValueError(f"{version} is not newer than {self.newest}")
        self.entries[version] = promise
        return version

    @property
    def oldest(self) -> Version:
        return next(iter(self.entries))

    @property
    def newest(self) -> Version:
        return next(reversed(self.entries))


class Window(NamedTuple):
    since: Version | None = None
    until: Version | None = None          # exclusive: the version that removed it

    def holds(self, version: Version) -> bool:
        return (self.since is None or version >= self.since) and (self.until is None or version < self.until)


ALWAYS = Window()


def since(version: Version) -> Window:
    return Window(since=version)


def until(version: Version) -> Window:
    return Window(until=version)


def at(kind: Any, version: Version, *, strict: bool = True) -> Any:
    """The same type as clients of `version` know it: fields outside their window are gone. Unless `strict`, fields it
    does not know are passed over. The same question is always answered with the very same type."""
    return _at(kind, version, strict)


def _at(kind: Any, version: Version, strict: bool) -> Any:
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _struct_at(kind, version, strict)
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if not args or origin is typing.Literal:
        return kind
    if origin is Annotated:
        rest = tuple(a for a in args[1:] if not isinstance(a, Window))
        inner = _at(args[0], version, strict)
        return Annotated[(inner, *rest)] if rest else inner
    narrowed = tuple(_at(a, version, strict) if a is not Ellipsis else a for a in args)
    if narrowed == args:
        return kind
    if origin in (typing.Union, types.UnionType):
        return functools.reduce(lambda a, b: a | b, narrowed)
    return typing.cast(Any, origin)[narrowed]


@functools.cache           # of structs alone: `int | str` and `str | int` would be one key, whichever came first
def _struct_at(kind: type[msgspec.Struct], version: Version, strict: bool) -> type[msgspec.Struct]:
    hints = typing.get_type_hints(kind, include_extras=True)
    fields: list[tuple] = []
    config = kind.__struct_config__
    changed = config.forbid_unknown_fields and not strict
    for field in msgspec.structs.fields(kind):
        hint = hints[field.name]
        windows = [m for m in getattr(hint, "__metadata__", ()) if isinstance(m, Window)]
        if not all(w.holds(version) for w in windows):
            changed = True
            continue
        narrow = _at(hint, version, strict)
        stripped = _without_windows(hint)
        changed = changed or narrow is not stripped and narrow != stripped
        fields.append((field.name, narrow, _same_field(field)))
    if not changed:
        return kind
    return msgspec.defstruct(
        kind.__name__, fields, kw_only=True, omit_defaults=config.omit_defaults,
        forbid_unknown_fields=config.forbid_unknown_fields and strict, frozen=config.frozen,
        tag=config.tag, tag_field=config.tag_field, module=kind.__module__)


@functools.cache
def outside(kind: Any, version: Version) -> tuple[str, ...] | None:
    """Fields of a mutable struct that clients of `version` do not know; None when what they know differs deeper down.

    Setting those fields to UNSET leaves them out when the struct is encoded, at a fraction of what `moved` costs.
    """
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)) or kind.__struct_config__.frozen:
        return None
    found, hints = [], typing.get_type_hints(kind, include_extras=True)
    for field in msgspec.structs.fields(kind):
        hint = hints[field.name]
        if any(isinstance(m, Window) and not m.holds(version) for m in getattr(hint, "__metadata__", ())):
            found.append(field.name)
        elif at(hint, version) not in (hint, _without_windows(hint)):
            return None
    return tuple(found)


def _without_windows(hint: Any) -> Any:
    if typing.get_origin(hint) is not Annotated:
        return hint
    args = typing.get_args(hint)
    rest = tuple(a for a in args[1:] if not isinstance(a, Window))
    return Annotated[(args[0], *rest)] if rest else args[0]


def _same_field(field: msgspec.structs.FieldInfo) -> Any:
    if field.default is not msgspec.NODEFAULT:
        return msgspec.field(name=field.encode_name, default=field.default)
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.field(name=field.encode_name, default_factory=field.default_factory)
    return msgspec.field(name=field.encode_name)


def moved(value: Any, kind: Any) -> Any:
    """`value` as `kind`, which is another version's idea of the same type."""
    if _may_be_unset(kind):          # msgspec copies no attribute that is UNSET, so leave those out on the way
        return msgspec.convert(msgspec.to_builtins(value), kind)
    return msgspec.convert(value, kind, from_attributes=True)


@functools.cache
def _may_be_unset(kind: Any) -> bool:
    if kind is msgspec.UnsetType:
        return True
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return any(_may_be_unset(hint) for hint in typing.get_type_hints(kind).values())
    return typing.get_origin(kind) is not typing.Literal and any(map(_may_be_unset, typing.get_args(kind)))
