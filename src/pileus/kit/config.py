"""Configuration: one frozen struct per section; a TOML file, then the environment, may override defaults."""

from __future__ import annotations

import os
import tomllib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)
PREFIX = "PILEUS_"


class BadConfig(Exception):
    """The message names the file or variable, the option, and what is wrong with it."""


def doc(text: str) -> msgspec.Meta:
    return msgspec.Meta(description=text)


def load(kind: type[T], file: Path | None = None, env: Mapping[str, str] = os.environ) -> T:
    """Read `file` (TOML), then variables such as PILEUS_COMPUTE__DRIVER=fake, which beat it."""
    found: dict[str, Any] = {}
    try:
        if file is not None:
            found = tomllib.loads(file.read_text())
        for name, value in env.items():
            if name.startswith(PREFIX) and "__" in name:
                *path, leaf = name.removeprefix(PREFIX).lower().split("__")
                place = found
                for part in path:
                    place = place.setdefault(part, {})
                place[leaf] = value
        return msgspec.convert(found, kind, strict=False, dec_hook=_path)
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise BadConfig(f"{file or 'environment'}: {error}") from error


def _path(kind: type[Any], value: Any) -> Any:
    """msgspec leaves paths to us."""
    if kind is Path and isinstance(value, str):
        return Path(value)
    raise ValueError(f"Expected a path, got `{type(value).__name__}`")


def sample(kind: type[msgspec.Struct], section: str) -> str:
    """The annotated section an operator may paste; options are documented nowhere else."""
    lines = [f"[{section}]"]
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in msgspec.structs.fields(kind):
        for meta in getattr(hints[field.name], "__metadata__", ()):
            if isinstance(meta, msgspec.Meta) and meta.description:
                lines += [f"# {line}" for line in meta.description.splitlines()]
        default = field.default_factory() if field.default is msgspec.NODEFAULT else field.default  # type: ignore[operator]
        lines += [f"# {field.name} = {msgspec.json.encode(default, enc_hook=str).decode()}", ""]
    return "\n".join(lines)
