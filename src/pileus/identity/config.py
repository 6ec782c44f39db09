"""The [identity] section."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from pileus.kit.config import doc


class IdentityConfig(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    keys: Annotated[Path, doc(
        "Folder of the keys that sign tokens; every process of the cloud reads it.")] = Path("keys")
    credential_keys: Annotated[Path, doc(
        "Folder of the keys that encrypt stored credentials; identity alone reads it.")] = Path("credential-keys")
    token_provider: Annotated[Literal["fernet", "jws"], doc(
        "Form of tokens: encrypted and short, or signed by ES256 and readable by everybody who has one.")] = "fernet"
    token_seconds: Annotated[int, msgspec.Meta(ge=60), doc("How long a token is valid.")] = 3600
    expired_token_seconds: Annotated[int, msgspec.Meta(ge=0), doc(
        "How long after its end a token may still be shown to services that finish what it began.")] = 172_800
    password_rounds: Annotated[int, msgspec.Meta(ge=4, le=31), doc(
        "Cost of a password hash, as a power of two.")] = 12
    password_remembered: Annotated[int, msgspec.Meta(ge=0, le=60), doc(
        "Seconds during which a verified password is recognised without hashing it again.")] = 60
    tree_depth: Annotated[int, msgspec.Meta(ge=1, le=5), doc(
        "How deep projects may nest below their domain.")] = 5
