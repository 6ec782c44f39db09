"""[database]: where the services keep their tables; each has a database of its own."""

from __future__ import annotations

import importlib.util
from typing import Annotated

import msgspec

from pileus.kit.config import doc

DRIVERS = {"sqlite": "sqlite3", "postgresql+asyncpg": "asyncpg", "mysql+aiomysql": "aiomysql"}
EXTRAS = {"asyncpg": "postgresql", "aiomysql": "mariadb"}
HOLE = "{service}"


class DatabaseConfig(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    url: Annotated[str, doc(
        "The databases of the services. {service} stands for a service's name; the databases must be there.\n"
        "postgresql+asyncpg://USER:PASSWORD@HOST/pileus_{service}, or\n"
        "mysql+aiomysql://USER:PASSWORD@HOST/pileus_{service}?charset=utf8mb4 for MariaDB.\n"
        "Empty: SQLite files in the state folder.")] = ""
    connections: Annotated[int, msgspec.Meta(ge=1), doc(
        "Connections to a database server that each service keeps; as many more when it is busy.")] = 10

    def __post_init__(self) -> None:
        if not self.url:
            return
        kind = self.url.partition("://")[0]
        if kind not in DRIVERS:
            raise ValueError(f"url begins with {kind:.40}://, not with one of {', '.join(f'{d}://' for d in DRIVERS)}")
        if HOLE not in self.url:
            raise ValueError(f"url needs {HOLE} in it: no two services may share a database")
        if importlib.util.find_spec(DRIVERS[kind]) is None:
            raise ValueError(f"url needs a driver: pip install 'pileus[{EXTRAS[DRIVERS[kind]]}]'")

    def of(self, service: str) -> str:
        """The database of one service; nothing where none was configured."""
        return self.url.replace(HOLE, service)
