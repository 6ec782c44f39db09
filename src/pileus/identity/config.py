"""The [identity] and [security_compliance] sections."""

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
    receipt_seconds: Annotated[int, msgspec.Meta(ge=30), doc(
        "How long somebody who showed one of several factors has for the others.")] = 300
    limit_model: Annotated[Literal["flat", "strict_two_level"], doc(
        "Whether limits of projects bear on each other: not at all, or no project may have more than the domain it is "
        "in.")] = "flat"
    key_days: Annotated[int, msgspec.Meta(ge=0), doc(
        "Days after which token keys are rotated; 0: only by command.")] = 30

    @property
    def token_keys(self) -> Path:
        return self.keys / "jws" if self.token_provider == "jws" else self.keys


class ComplianceConfig(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    lockout_failure_attempts: Annotated[int, msgspec.Meta(ge=0), doc(
        "Wrong passwords in a row after which a user is locked out; 0: never.")] = 0
    lockout_duration: Annotated[int, msgspec.Meta(ge=1), doc("Seconds a user stays locked out.")] = 1800
    disable_user_account_days_inactive: Annotated[int, msgspec.Meta(ge=0), doc(
        "Days without a login after which a user cannot log in any more; 0: never.")] = 0
    password_expires_days: Annotated[int, msgspec.Meta(ge=0), doc(
        "Days after which a password must be changed; 0: never. Counts for passwords set from then on.")] = 0
    unique_last_password_count: Annotated[int, msgspec.Meta(ge=0, le=24), doc(
        "How many passwords, the present one included, a user may not choose again; 0: any may be.")] = 0
    minimum_password_age: Annotated[int, msgspec.Meta(ge=0), doc(
        "Days a user must keep a password before changing it again.")] = 0
    password_regex: Annotated[str, doc("What a password must match, as a regular expression; empty: nothing.")] = ""
    password_regex_description: Annotated[str, doc("The same in words, for the people who choose passwords.")] = ""
    change_password_upon_first_use: Annotated[bool, doc(
        "Whether users must change a password that an administrator gave them.")] = False
