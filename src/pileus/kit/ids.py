"""Identifiers: UUIDs where OpenStack has UUIDs, 32 hex digits where Keystone has those."""

from __future__ import annotations

import re
import uuid

_UUID = re.compile(r"[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}", re.IGNORECASE)


def new_uuid() -> str:
    return str(uuid.uuid4())


def new_hex() -> str:
    return uuid.uuid4().hex


def new_request_id() -> str:
    return f"req-{uuid.uuid4()}"


def is_uuid(text: str) -> bool:
    """Whether `text` is a UUID as clients write them, with or without hyphens."""
    return _UUID.fullmatch(text) is not None
