"""Volume types with extra specs, access and encryption; quality of service; default types of projects."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.caller import Caller
from pileus.kit.db import Connection
from pileus.volume.faults import QosNotFound, TypeNotFound
from pileus.volume.model.tables import default_types, qos, type_access, types, volumes

_PLAIN, _LUKS = (("plain", "CryptsetupEncryptor", "nova.volume.encryptors.cryptsetup.CryptsetupEncryptor"),
                 ("luks", "LuksEncryptor", "nova.volume.encryptors.luks.LuksEncryptor"))
LUKS: dict[str, Literal[1, 2]] = {**dict.fromkeys(_PLAIN + _LUKS, 1), "luks2": 2}       # the version, by the provider
CIPHER = "aes-xts-plain64"
AES = {256: "aes-128", 512: "aes-256"}        # by the size of the key in bits


class Encryption(msgspec.Struct, frozen=True, kw_only=True):
    encryption_id: str
    provider: str
    control_location: str
    cipher: str | None = None
    key_size: int | None = None
    created_at: float = 0.0

    @property
    def why_not(self) -> str | None:
        """What of it cannot be had; None where all can."""
        if self.provider not in LUKS:
            return f"provider {self.provider}, only plain, luks and luks2"
        if self.cipher not in (None, "", CIPHER):
            return f"cipher {self.cipher}, only {CIPHER}"
        return None if self.key_size in (None, *AES) else f"key_size {self.key_size}, only {' or '.join(map(str, AES))}"

    @property
    def luks(self) -> Literal[1, 2]:
        """What lies behind a header of version 1 is what `plain` would have, too."""
        return LUKS.get(self.provider, 1)

    @property
    def algorithm(self) -> str:
        """QEMU's name for the cipher; in the mode XTS half of the key is for the position."""
        return AES[self.key_size or max(AES)]


class VolumeType(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    created_at: float
    description: str | None = None
    is_public: bool = True
    extra_specs: dict[str, str] = {}
    qos_id: str | None = None
    encryption: Encryption | None = None
    updated_at: float | None = None
    generation: int = 1

    @property
    def multiattach(self) -> bool:
        return self.extra_specs.get("multiattach", "").lower() == "<is> true"


class Qos(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    created_at: float
    consumer: str = "back-end"
    specs: dict[str, str] = {}
    updated_at: float | None = None
    generation: int = 1


def allowed_to(project_id: str | None) -> sa.ColumnElement[bool]:
    """Types a project may use."""
    return sa.or_(types.c.is_public, sa.exists().where(
        type_access.c.type_id == types.c.id, type_access.c.project_id == (project_id or "")))


async def get(conn: Connection, type_id: str) -> VolumeType:
    """Raises TypeNotFound."""
    row = await db.one(conn, sa.select(types).where(types.c.id == type_id), VolumeType)
    if row is None:
        raise TypeNotFound(type_id=type_id)
    return row


async def get_allowed(conn: Connection, name_or_id: str, caller: Caller) -> VolumeType:
    """The type by name or id, if the caller may use it. Raises TypeNotFound."""
    query = sa.select(types).where(sa.or_(types.c.id == name_or_id, types.c.name == name_or_id))
    if not caller.is_admin:
        query = query.where(allowed_to(caller.project_id))
    row = await db.one(conn, query, VolumeType)
    if row is None:
        raise TypeNotFound(type_id=name_or_id)
    return row


async def with_specs(conn: Connection, wanted: dict[str, str]) -> list[str]:
    """Ids of the types that have these extra specs; there are few types."""
    rows = await db.many(conn, sa.select(types), VolumeType)
    return [row.id for row in rows if wanted.items() <= row.extra_specs.items()]


async def find_by_name(conn: Connection, name: str) -> VolumeType | None:
    return await db.one(conn, sa.select(types).where(types.c.name == name), VolumeType)


async def default_for(conn: Connection, project_id: str | None, default_name: str) -> VolumeType:
    """The project's own default, or that of all."""
    query = sa.select(types).join(default_types, default_types.c.type_id == types.c.id).where(
        default_types.c.project_id == (project_id or ""))
    found = await db.one(conn, query, VolumeType) or await find_by_name(conn, default_name)
    if found is None:
        raise TypeNotFound(type_id=default_name)
    return found


async def change(tx: Connection, row: VolumeType, now: float, **values: Any) -> VolumeType:
    if values.get("encryption") is not None:
        values["encryption"] = msgspec.to_builtins(values["encryption"])
    await db.change(tx, types, row, updated_at=now, **values)
    return await get(tx, row.id)


async def in_use(conn: Connection, type_id: str) -> bool:
    return await db.scalar(conn, sa.select(volumes.c.id).where(volumes.c.type_id == type_id).limit(1)) is not None


async def access_of(conn: Connection, type_id: str) -> list[str]:
    return await db.scalars(conn, sa.select(type_access.c.project_id).where(type_access.c.type_id == type_id)
                            .order_by(type_access.c.project_id))


async def ensure_default(tx: Connection, row: VolumeType) -> None:
    """The type every cloud begins with."""
    if await find_by_name(tx, row.name) is None:
        await db.add(tx, types, row)


async def get_qos(conn: Connection, qos_id: str) -> Qos:
    """Raises QosNotFound."""
    row = await db.one(conn, sa.select(qos).where(qos.c.id == qos_id), Qos)
    if row is None:
        raise QosNotFound(qos_id=qos_id)
    return row


async def find_qos(conn: Connection, qos_id: str | None) -> Qos | None:
    return await db.one(conn, sa.select(qos).where(qos.c.id == qos_id), Qos) if qos_id else None


async def limits_of(conn: Connection, kind: VolumeType) -> dict[str, str]:
    """What the type's QoS says; nothing where it has none."""
    found = await find_qos(conn, kind.qos_id)
    return found.specs if found else {}


async def with_qos(conn: Connection, qos_id: str) -> list[VolumeType]:
    return await db.many(conn, sa.select(types).where(types.c.qos_id == qos_id).order_by(types.c.name), VolumeType)
