"""Inventories: how much of each resource class a provider has, and in what portions it is given out."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import sqlalchemy as sa

from pileus.kit.db import Connection
from pileus.placement import faults
from pileus.placement.model.tables import allocations, inventories

INT32 = 0x7FFFFFFF


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    total: int
    reserved: int = 0
    min_unit: int = 1
    max_unit: int = INT32
    step_size: int = 1
    allocation_ratio: float = 1.0

    @property
    def capacity(self) -> int:
        return int((self.total - self.reserved) * self.allocation_ratio)

    def refuses(self, amount: int, used: int) -> str | None:
        """Why `amount` more cannot be given out; None if it can."""
        if not self.min_unit <= amount <= self.max_unit or amount % self.step_size:
            return (f"amount {amount} violates min_unit {self.min_unit}, max_unit {self.max_unit} or step_size"
                    f" {self.step_size}")
        if used + amount > self.capacity:
            return f"amount {amount} would exceed the capacity {self.capacity}, of which {used} is used"
        return None


async def of(conn: Connection, provider_id: str) -> dict[str, Inventory]:
    found = await conn.execute(sa.select(inventories).where(inventories.c.provider_id == provider_id).order_by(
        inventories.c.resource_class))
    return {row.resource_class: from_row(row) for row in found}


def from_row(row: sa.Row) -> Inventory:
    return Inventory(total=row.total, reserved=row.reserved, min_unit=row.min_unit, max_unit=row.max_unit,
                     step_size=row.step_size, allocation_ratio=row.allocation_ratio)


async def used(conn: Connection, provider_id: str) -> dict[str, int]:
    """What is taken of a provider, by class."""
    taken = sa.func.sum(allocations.c.used).label("used")
    found = await conn.execute(sa.select(allocations.c.resource_class, taken).where(
        allocations.c.provider_id == provider_id).group_by(allocations.c.resource_class))
    return {row.resource_class: int(row.used) for row in found}


async def replace(tx: Connection, provider_id: str, wanted: Mapping[str, Inventory]) -> None:
    """Write the inventories of a provider whose generation the caller has taken. Classes in use cannot go."""
    kept = await of(tx, provider_id)
    taken = await used(tx, provider_id)
    for name in kept:
        if name not in wanted and taken.get(name):
            raise faults.InventoryInUse(resource_class=name, provider_id=provider_id)
    gone = [name for name in kept if name not in wanted]
    if gone:
        await tx.execute(inventories.delete().where(
            inventories.c.provider_id == provider_id, inventories.c.resource_class.in_(gone)))
    new = [name for name in wanted if name not in kept]
    if new:
        await tx.execute(inventories.insert(), [
            {"provider_id": provider_id, "resource_class": name, **msgspec.structs.asdict(wanted[name])}
            for name in new])
    for name, inventory in wanted.items():
        if name in kept and kept[name] != inventory:
            await tx.execute(inventories.update().where(
                inventories.c.provider_id == provider_id, inventories.c.resource_class == name)
                .values(**msgspec.structs.asdict(inventory)))
