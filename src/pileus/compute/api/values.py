"""Booleans, numbers and texts as clients of the Compute API write them."""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from typing import Annotated

import msgspec

from pileus.compute import versions
from pileus.kit import numbers
from pileus.kit.faults import BadRequest
from pileus.kit.web import Ctx

MOST = 1000                        # things in one page
BIGGEST = 0x7FFFFFFF
TRUE, FALSE = {"1", "t", "true", "on", "y", "yes"}, {"0", "f", "false", "off", "n", "no"}

Number = int | Annotated[str, msgspec.Meta(pattern=r"^-?[0-9]{1,10}$")]


def truth(value: bool | str, field: str) -> bool:
    """A boolean, or a word for one. Raises BadRequest."""
    if isinstance(value, bool):
        return value
    if (word := value.strip().lower()) not in TRUE | FALSE:
        raise BadRequest(reason=f"Invalid input for field/attribute {field}. Value: {value}. "
                                f"'{value}' is not a boolean")
    return word in TRUE


def whole(value: int | str, field: str, least: int = 0) -> int:
    """An integer, or its digits. Raises BadRequest."""
    number = numbers.whole(value)
    if number is None or not least <= number <= BIGGEST:
        raise BadRequest(reason=f"Invalid input for field/attribute {field}. Value: {value}. "
                                f"It must be between {least} and {BIGGEST}.")
    return number


def limited(text: str | None) -> int:
    """How many rows are asked for, at most MOST. Raises BadRequest."""
    if text is None:
        return MOST
    if (number := numbers.digits(text)) is None:
        raise BadRequest(reason=f"Invalid input for query parameters limit. Value: {text}.")
    return min(number, MOST)


def address(text: str | None, field: str, version: int) -> str | None:
    """An IP address of this version in the shortest way to write it; an empty text is none. Raises BadRequest."""
    if not text:
        return None
    found = _parsed(text)
    if found is None or found.version != version:
        raise BadRequest(reason=f"Invalid input for field/attribute {field}. Value: {text}. "
                                f"'{text}' is not an IPv{version} address")
    return str(found)


def any_address(text: str, field: str) -> str:
    """An IP address of either version, in the shortest way to write it. Raises BadRequest."""
    if (found := _parsed(text)) is None:
        raise BadRequest(reason=f"Invalid input for field/attribute {field}. Value: {text}. "
                                f"'{text}' is neither an IPv4 nor an IPv6 address")
    return str(found)


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return None if "%" in text else ipaddress.ip_address(text)
    except ValueError:
        return None


def hostname(ctx: Ctx, text: str) -> str:
    """What a guest may be called: one label, since 2.94 with a domain behind it. Raises BadRequest."""
    qualified = ctx.version >= versions.FQDN_HOSTNAME
    inner, most = (r"[a-zA-Z0-9.-]*", 255) if qualified else (r"[a-zA-Z0-9-]*", 63)
    if len(text) > most or not re.fullmatch(f"[a-zA-Z0-9]{inner}[a-zA-Z0-9]", text):
        raise BadRequest(reason=f"Invalid input for field/attribute hostname. Value: {text}. "
                                f"'{text}' is not a host name of at most {most} characters")
    return text


def printable(text: str) -> bool:
    return all(char.isprintable() or unicodedata.category(char) == "Zs" for char in text)
