"""Names of traits and resource classes: the standard ones of the field, and custom ones kept in the database."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection
from typing import Literal

import os_resource_classes
import os_traits
import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Connection
from pileus.placement import faults
from pileus.placement.model.tables import allocations, custom_names, inventories, provider_traits

Kind = Literal["class", "trait"]
CUSTOM = re.compile(r"CUSTOM_[A-Z0-9_]{1,248}")
SHARING = "MISC_SHARES_VIA_AGGREGATE"


@functools.cache
def standard(kind: Kind) -> tuple[str, ...]:
    return tuple(os_resource_classes.STANDARDS) if kind == "class" else tuple(sorted(os_traits.get_traits()))


@functools.cache
def _standard_set(kind: Kind) -> frozenset[str]:
    return frozenset(standard(kind))


def is_standard(kind: Kind, name: str) -> bool:
    return name in _standard_set(kind)


async def custom(conn: Connection, kind: Kind) -> list[str]:
    return await db.scalars(conn, sa.select(custom_names.c.name).where(custom_names.c.kind == kind)
                            .order_by(custom_names.c.name))


async def exists(conn: Connection, kind: Kind, name: str) -> bool:
    return is_standard(kind, name) or await db.scalar(conn, sa.select(custom_names.c.name).where(
        custom_names.c.kind == kind, custom_names.c.name == name)) is not None


async def unknown(conn: Connection, kind: Kind, names: Collection[str]) -> list[str]:
    """Which of `names` nobody has made."""
    left = {name for name in names if not is_standard(kind, name)}
    if left:
        left -= set(await db.scalars(conn, sa.select(custom_names.c.name).where(
            custom_names.c.kind == kind, custom_names.c.name.in_(left))))
    return sorted(left)


async def must_know_classes(conn: Connection, names: Collection[str]) -> None:
    for name in await unknown(conn, "class", names):
        raise faults.BadRequest(reason=f"No such resource class {name}.")


async def must_know_traits(conn: Connection, names: Collection[str]) -> None:
    missing = await unknown(conn, "trait", names)
    if missing:
        raise faults.BadRequest(reason=f"No such trait(s): {', '.join(missing)}.")


async def ensure(tx: Connection, kind: Kind, name: str) -> bool:
    """Whether the name is new."""
    if await exists(tx, kind, name):
        return False
    try:
        await tx.execute(custom_names.insert().values(kind=kind, name=name))
    except db.Taken as error:
        raise db.Collision(str(error)) from error         # made by another process meanwhile: look again
    return True


_USES = {"trait": (provider_traits.c.trait,),
         "class": (inventories.c.resource_class, allocations.c.resource_class)}


async def remove(tx: Connection, kind: Kind, name: str) -> None:
    """Forget a custom name nothing uses."""
    missing = {"class": faults.ClassNotFound, "trait": faults.TraitNotFound}[kind]
    word = {"class": "resource class", "trait": "trait"}[kind]
    if is_standard(kind, name):
        raise faults.BadRequest(reason=f"Cannot delete standard {word} {name}.")
    for column in _USES[kind]:
        if await db.scalar(tx, sa.select(column).where(column == name).limit(1)) is not None:
            raise faults.NameInUse(kind=f"The {word}", name=name)
    if not await db.update(tx, custom_names.delete().where(custom_names.c.kind == kind, custom_names.c.name == name)):
        raise missing(name=name)
