"""Every service of the cloud, and how types are spelled in generated files."""

from __future__ import annotations

import types
import typing
from enum import Enum
from typing import Any

import msgspec

from pileus.compute.service import SERVICE as COMPUTE
from pileus.identity.service import SERVICE as IDENTITY
from pileus.image.service import SERVICE as IMAGE
from pileus.kit.service import Service
from pileus.load_balancer.service import SERVICE as LOAD_BALANCER
from pileus.network.service import SERVICE as NETWORK
from pileus.placement.service import SERVICE as PLACEMENT
from pileus.volume.service import SERVICE as VOLUME

SERVICES: tuple[Service, ...] = (IDENTITY, PLACEMENT, IMAGE, NETWORK, COMPUTE, VOLUME, LOAD_BALANCER)


def spell(kind: Any) -> str:
    """A type as its author would write it, whatever module it is from; enumerations with their values."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if kind is None or kind is type(None):
        return "None"
    if kind is Ellipsis:
        return "..."
    if origin is typing.Annotated:
        return spell(args[0])
    if origin is typing.Literal:
        return f"Literal[{', '.join(map(repr, args))}]"
    if origin in (typing.Union, types.UnionType):
        return " | ".join(map(spell, args))
    if origin is not None:
        return f"{origin.__name__}[{', '.join(map(spell, args))}]"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return f"{kind.__name__}({', '.join(repr(each.value) for each in kind)})"
    return getattr(kind, "__name__", str(kind))


def default_of(field: msgspec.structs.FieldInfo) -> str:
    """` = value`; nothing for a field that has to be given."""
    if field.default is not msgspec.NODEFAULT:
        return f" = {_said(field.default)}"
    if field.default_factory is not msgspec.NODEFAULT:
        return f" = {_said(typing.cast(Any, field.default_factory)())}"
    return ""


def _said(value: Any) -> str:
    return "UNSET" if value is msgspec.UNSET else msgspec.json.encode(value).decode()


def fields_of(kind: type[msgspec.Struct], indent: str) -> list[str]:
    """One line per field; with its name on the wire where that is another one."""
    lines = []
    for field in msgspec.structs.fields(kind):
        wire = "" if field.encode_name == field.name else f" as {field.encode_name}"
        lines.append(f"{indent}{field.name}{wire}: {spell(field.type)}{default_of(field)}")
    return lines


def structs_in(kind: Any) -> list[type[msgspec.Struct]]:
    """The structs a type is made of, itself first, each once."""
    found: dict[type[msgspec.Struct], None] = {}

    def visit(each: Any) -> None:
        if isinstance(each, type) and issubclass(each, msgspec.Struct):
            if each not in found:
                found[each] = None
                for field in msgspec.structs.fields(each):
                    visit(field.type)
        elif typing.get_origin(each) is not typing.Literal:
            for arg in typing.get_args(each):
                visit(arg)
    visit(kind)
    return list(found)
