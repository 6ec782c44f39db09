"""One filled-in message of each kind, as its bytes went over the wire when it was committed."""

from __future__ import annotations

import types
import typing
from enum import Enum
from pathlib import Path
from typing import Any

import msgspec

from tests.golden.compared import FOLDER

SAMPLES = FOLDER / "messages"
_PLAIN: dict[Any, Any] = {str: "text", int: 7, float: 1.5, bool: True, bytes: b"bytes"}


def sample(kind: Any) -> Any:
    """A value of the type with everything in it set, and nothing to its default as far as that can be."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if kind in _PLAIN:
        return _PLAIN[kind]
    if origin is typing.Annotated:
        return sample(args[0])
    if origin is typing.Literal:
        return args[-1]
    if origin in (typing.Union, types.UnionType):
        return sample(next(each for each in args if each not in (type(None), msgspec.UnsetType)))
    if origin is dict:
        return {sample(args[0]): sample(args[1])}
    if origin in (tuple, list, frozenset, set):
        return origin([sample(args[0])])
    if issubclass(kind, Enum):
        return list(kind)[-1]
    return kind(**{field.name: _other(field, sample(field.type)) for field in msgspec.structs.fields(kind)})


def _other(field: msgspec.structs.FieldInfo, value: Any) -> Any:
    """Not the default, which `omit_defaults` would leave out."""
    return not value if value is True and field.default is True else value


def path_of(service: str, kind: type) -> Path:
    return SAMPLES / f"{service}.{kind.__name__}.msgpack"


def lost(sent: Any, understood: Any, where: str = "") -> list[str]:
    """What stands in `sent` and not, or differently, in `understood`: fields renamed, removed or retyped."""
    if isinstance(sent, dict) and isinstance(understood, dict):
        return [each for key, value in sent.items() for each in (
            lost(value, understood[key], f"{where}.{key}") if key in understood else [f"{where}.{key} is not read"])]
    if isinstance(sent, list) and isinstance(understood, list | tuple) and len(sent) == len(understood):
        return [each for number, (one, other) in enumerate(zip(sent, understood, strict=True))
                for each in lost(one, other, f"{where}[{number}]")]
    return [] if sent == understood else [f"{where} was {sent!r} and is read as {understood!r}"]
