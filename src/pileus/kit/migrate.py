"""Schema: numbered modules with `upgrade(op)`, forward only; what was applied is a row per module."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

import sqlalchemy as sa

from pileus.kit import migrations as kit_migrations
from pileus.kit.db import Db

LOCK = 0x50494C455553           # of PostgreSQL's advisory locks, which belong to one database
LOCK_SECONDS = 600


def _names(package: ModuleType) -> list[str]:
    return sorted(m.name for m in pkgutil.iter_modules(package.__path__) if m.name[:4].isdigit())


def lock(conn: sa.Connection) -> None:
    """One process migrates a database at a time; the others wait and then find nothing to do."""
    if conn.dialect.name == "postgresql":
        conn.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
    elif conn.dialect.name in ("mysql", "mariadb"):
        got = conn.execute(sa.text("SELECT GET_LOCK(CONCAT('pileus.', MD5(DATABASE())), :s)"), {"s": LOCK_SECONDS})
        if got.scalar() != 1:
            raise TimeoutError(f"another process has been migrating this database for {LOCK_SECONDS} s")


def unlock(conn: sa.Connection) -> None:
    """MariaDB's lock belongs to the connection; PostgreSQL's ends with the transaction."""
    if conn.dialect.name in ("mysql", "mariadb"):
        conn.execute(sa.text("SELECT RELEASE_LOCK(CONCAT('pileus.', MD5(DATABASE())))"))


def upgrade(conn: sa.Connection, package: ModuleType) -> list[str]:
    """Apply the modules of `package` that are missing, in order; name what was applied."""
    owner = package.__name__.split(".")[1]
    done = sa.Table("migration", sa.MetaData(), sa.Column("name", sa.String(120), primary_key=True))
    done.create(conn, checkfirst=True)
    applied = set(conn.execute(sa.select(done.c.name)).scalars())
    missing = [name for name in _names(package) if f"{owner}.{name}" not in applied]
    if not missing:
        return []
    from alembic.migration import MigrationContext  # noqa: PLC0415 - takes longer than to see that nothing is missing
    from alembic.operations import Operations  # noqa: PLC0415
    operations = Operations(MigrationContext.configure(conn))
    for name in missing:
        importlib.import_module(f"{package.__name__}.{name}").upgrade(operations)
        conn.execute(done.insert().values(name=f"{owner}.{name}"))
    return missing


async def bring_up_to_date(db: Db, package: ModuleType) -> list[str]:
    """Bring a service's database to this release: the kit's own tables, then the service's."""
    async with db.write() as tx:
        await tx.run_sync(lock)
        try:
            return [*await tx.run_sync(upgrade, kit_migrations), *await tx.run_sync(upgrade, package)]
        finally:
            await tx.run_sync(unlock)
