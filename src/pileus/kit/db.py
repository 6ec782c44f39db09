"""Databases: explicit readers and writers, rows as frozen structs, compare-and-set on `generation`.

SQLite runs its statements in the event loop's own thread: they take tens of microseconds, a hop to a thread takes
hundreds. PostgreSQL and MariaDB go through their asyncio drivers. Callers cannot tell the difference.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec
import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from pileus.kit.faults import BadRequest, Conflict, OutOfSpace, Unavailable

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

T = TypeVar("T")
BUSY_SECONDS = 30.0                  # how long a writer waits for another process's transaction on SQLite
LEVEL = "READ COMMITTED"             # of transactions on servers
NAMING = {                           # constraints need the same names on every database, for later migrations
    "ix": "%(table_name)s_%(column_0_N_name)s_ix", "uq": "%(table_name)s_%(column_0_N_name)s_uq",
    "ck": "%(table_name)s_%(constraint_name)s_ck", "fk": "%(table_name)s_%(column_0_N_name)s_fk",
    "pk": "%(table_name)s_pk"}

LongText = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")


class Json(sa.types.TypeDecorator[Any]):
    """JSON as text, for what is never searched."""

    impl = LongText
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        return None if value is None else msgspec.json.encode(value).decode()

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Any:
        """One call for each value, not the two of process_result_value: lists have thousands."""
        return _read_json


def _read_json(value: str | None) -> Any:
    if value in {"[]", "{}"}:                                    # by far the most frequent ones
        return [] if value == "[]" else {}
    return None if value is None else msgspec.json.decode(value)


class Stale(Conflict):
    message = "{kind} {id} was changed by someone else meanwhile; read it again."


class Taken(Exception):
    """A constraint refused the row: its key or a name that must be unique is in use, or what it refers to is gone."""


class Collision(Exception):
    """The database ended this transaction in favour of another one; run it again from the start."""


class now(FunctionElement[float]):
    """Seconds since the epoch by the database's own clock, the one all workers share."""

    type = sa.Double()
    inherit_cache = True


@compiles(now, "sqlite")
def _(element: now, compiler: Any, **options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now, "postgresql")
def _(element: now, compiler: Any, **options: Any) -> str:
    return "CAST(extract(epoch from clock_timestamp()) AS double precision)"


@compiles(now, "mysql")
@compiles(now, "mariadb")
def _(element: now, compiler: Any, **options: Any) -> str:
    return "(UNIX_TIMESTAMP(SYSDATE(6)) + 0e0)"


class Connection(Protocol):
    """What model functions take: a transaction for reading, or one for writing."""

    async def execute(self, statement: Any, parameters: Any = None) -> sa.CursorResult[Any]: ...

    async def run_sync(self, function: Callable[..., T], *args: Any) -> T: ...

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Call back once the transaction is durable; never if it is rolled back."""
        ...


class _Local:
    """A synchronous SQLite connection, used from the loop's thread."""

    def __init__(self, raw: sa.Connection):
        self._raw, self.callbacks = raw, list[Callable[[], None]]()

    async def execute(self, statement: Any, parameters: Any = None) -> sa.CursorResult[Any]:
        with _translated():
            return self._raw.execute(statement, parameters)

    async def run_sync(self, function: Callable[..., T], *args: Any) -> T:
        return function(self._raw, *args)

    def on_commit(self, callback: Callable[[], None]) -> None:
        self.callbacks.append(callback)


class _Remote:
    """A connection to a database server."""

    def __init__(self, raw: AsyncConnection):
        self._raw, self.callbacks = raw, list[Callable[[], None]]()

    async def execute(self, statement: Any, parameters: Any = None) -> sa.CursorResult[Any]:
        with _translated():
            return await self._raw.execute(statement, parameters)

    async def run_sync(self, function: Callable[..., T], *args: Any) -> T:
        return await self._raw.run_sync(function, *args)

    def on_commit(self, callback: Callable[[], None]) -> None:
        self.callbacks.append(callback)


TOO_LARGE = "A number or a text is too large."


class Unreachable(Exception):
    """A database does not let us in. The message names it, without its password."""


# SQLSTATEs of PostgreSQL, error numbers of MariaDB, names of SQLite
_NUL_IN_TEXT = "22021"                                  # PostgreSQL alone minds
_COLLISIONS = {"40001", "40P01", 1205, 1213, 1020}
_TOO_LARGE = {"22000", "22001", "22003", 1264, 1406}
_FULL = {"53100", 1021, 1114, "SQLITE_FULL", "SQLITE_IOERR_WRITE"}


@contextlib.contextmanager
def _translated():
    try:
        yield
    except exc.IntegrityError as error:
        raise Taken(str(error.orig)) from error
    except OverflowError as error:                           # SQLite's driver: more than 64 bits
        raise BadRequest(reason=TOO_LARGE) from error
    except exc.DBAPIError as error:
        state = _state(error.orig)
        if state in _TOO_LARGE:
            raise BadRequest(reason=TOO_LARGE) from error
        if state in _COLLISIONS:
            raise Collision(str(error.orig)) from error
        if state in _FULL:
            raise OutOfSpace() from error
        if error.connection_invalidated:
            raise Unavailable(reason="The database does not answer; try again.") from error
        if state == _NUL_IN_TEXT:
            raise BadRequest(reason="A text holds a NUL character, which no text may.") from error
        raise


def _state(error: BaseException | None) -> Any:
    """What kind of error the database says it is."""
    named = getattr(error, "sqlstate", None) or getattr(error, "sqlite_errorname", None)
    return named or (error.args[:1] or (None,))[0] if error else None


class Db:
    """One service's database. `url`: sqlite:///FILE, postgresql+asyncpg://… or mysql+aiomysql://…"""

    def __init__(self, url: str, *, connections: int = 10):
        self.url = url
        self._local: _Sqlite | None = None
        if url.startswith("sqlite"):
            self._local = _Sqlite(url)
        else:
            # Brings SQLAlchemy's ORM along, which a cloud on SQLite does without.
            from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415
            # Readers see what is committed by then, statement by statement, in a transaction of LEVEL or without any.
            # On PostgreSQL it takes four turns to the server more to begin and end them, the ping's among them; on
            # MariaDB to go without takes more.
            postgresql = url.startswith("postgresql")
            self._reading = self._writing = create_async_engine(
                url, isolation_level="AUTOCOMMIT" if postgresql else LEVEL, pool_pre_ping=True, pool_size=connections,
                max_overflow=connections)
            if postgresql:
                self._writing = self._reading.execution_options(isolation_level=LEVEL)

    @contextlib.asynccontextmanager
    async def read(self) -> AsyncIterator[Connection]:
        """A view for one request; never waits for a writer."""
        if self._local is not None:
            with self._local.reader() as raw:
                yield _Local(raw)
        else:
            async with self._reading.connect() as raw:
                yield _Remote(raw)

    @contextlib.asynccontextmanager
    async def write(self) -> AsyncIterator[Connection]:
        """A transaction; commits at the end of the block unless something is raised."""
        if self._local is not None:
            with _translated():
                async with self._local.writer() as raw:
                    tx: _Local | _Remote = _Local(raw)
                    yield tx
        else:
            with _translated():
                async with self._writing.begin() as raw:
                    tx = _Remote(raw)
                    yield tx
        for callback in tx.callbacks:
            callback()

    async def must_answer(self) -> None:
        """Raises Unreachable unless one can log in."""
        try:
            async with self.read() as reader:
                await reader.execute(sa.select(1))
        except Exception as error:                       # drivers raise what they like here
            url = sa.make_url(self.url).render_as_string(hide_password=True)
            raise Unreachable(f"the database {url} cannot be used: {error}") from error

    @property
    def dialect(self) -> str:
        return "sqlite" if self._local is not None else self._reading.dialect.name

    async def close(self) -> None:
        if self._local is not None:
            self._local.close()
        else:
            await self._reading.dispose()


class _Sqlite:
    """One writer at a time, as many readers as ask; the write-ahead log keeps them out of each other's way."""

    def __init__(self, url: str):
        self._engine = sa.create_engine(url.replace("+aiosqlite", ""), poolclass=sa.pool.StaticPool if ":memory:" in url
                                        else sa.pool.QueuePool, connect_args={"timeout": 0, "check_same_thread": False})
        event.listen(self._engine, "connect", self._prepare)
        self._turn = asyncio.Lock()
        self._idle: list[sa.Connection] = []
        self._writer: sa.Connection | None = None

    @staticmethod
    def _prepare(raw: Any, _: Any) -> None:
        raw.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=5000",
                       "cache_size=-8000"):
            raw.execute(f"PRAGMA {pragma}")

    @contextlib.contextmanager
    def reader(self):
        connection = self._idle.pop() if self._idle else self._engine.connect()
        try:
            _tell(connection, "BEGIN")
            yield connection
        finally:
            _end(connection)
            self._idle.append(connection)

    @contextlib.asynccontextmanager
    async def writer(self):
        async with self._turn:
            if self._writer is None:
                self._writer = self._engine.connect()
                _tell(self._writer, "PRAGMA busy_timeout=0")       # it waits for other processes without the loop
            connection = self._writer
            try:
                await self._begin(connection)
                yield connection
                _tell(connection, "COMMIT")
            finally:
                _end(connection)

    async def _begin(self, connection: sa.Connection) -> None:
        """Another process may be writing: wait without blocking the loop."""
        give_up = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                return _tell(connection, "BEGIN IMMEDIATE")
            except exc.OperationalError as error:
                if "locked" not in str(error.orig) or time.monotonic() > give_up:
                    raise
                await asyncio.sleep(0.005)

    def close(self) -> None:
        for connection in [*self._idle, *([self._writer] if self._writer else [])]:
            connection.close()
        self._idle, self._writer = [], None
        self._engine.dispose()


def _tell(connection: sa.Connection, statement: str) -> None:
    """What has neither parameters nor an answer takes SQLAlchemy ten times as long as its driver."""
    try:
        _driver(connection).execute(statement)
    except sqlite3.Error as error:
        raise exc.DBAPIError.instance(statement, (), error, sqlite3.Error) from error


def _end(connection: sa.Connection) -> None:
    """Roll back what was not committed, if anything, for SQLite did already when its disk is full."""
    connection.rollback()
    _driver(connection).rollback()


def _driver(connection: sa.Connection) -> Any:
    return connection.connection.dbapi_connection


async def one(conn: Connection, query: sa.Select, kind: type[T], **values: Any) -> T | None:
    """A query that is asked often is built once, with parameters for `values`, and finds one row at most: to build it
    takes longer than to ask it."""
    found = _converted(await conn.execute(query, values) if values else await conn.execute(query.limit(1)), kind)
    return found[0] if found else None


async def many(conn: Connection, query: sa.Select, kind: type[T], **values: Any) -> list[T]:
    return _converted(await conn.execute(query, values or None), kind)


def _converted(result: sa.CursorResult[Any], kind: type[T]) -> list[T]:
    names = [str(name) for name in result.keys()]      # SQLAlchemy's own kind of string is refused as a key
    return msgspec.convert([dict(zip(names, row, strict=True)) for row in result.all()], list[kind])


async def scalar(conn: Connection, query: Any, **values: Any) -> Any:
    return (await conn.execute(query, values or None)).scalar()


async def scalars(conn: Connection, query: Any, **values: Any) -> list[Any]:
    return list((await conn.execute(query, values or None)).scalars())


async def add(tx: Connection, table: sa.Table, *rows: Any) -> None:
    """Insert rows (structs whose fields are the columns). Raises Taken when a constraint refuses one."""
    if rows:
        await tx.execute(_insert(table), [msgspec.structs.asdict(row) for row in rows])


async def change(tx: Connection, table: sa.Table, row: T, **values: Any) -> T:
    """Write `values` if nobody changed the row since it was read, and return the row as it is now."""
    if await update(tx, _update(table), of_id=row.id, of_generation=row.generation,             # type: ignore[attr-defined]
                    generation=row.generation + 1, **values) != 1:                              # type: ignore[attr-defined]
        raise Stale(kind=table.name, id=row.id)                                                 # type: ignore[attr-defined]
    return msgspec.structs.replace(row, generation=row.generation + 1, **values)                          # type: ignore[attr-defined, type-var]


@functools.cache
def _insert(table: sa.Table) -> sa.Insert:
    return table.insert()


@functools.cache
def _update(table: sa.Table) -> sa.Update:
    return table.update().where(table.c.id == sa.bindparam("of_id"),
                                table.c.generation == sa.bindparam("of_generation"))


async def update(tx: Connection, statement: sa.Update | sa.Delete, **values: Any) -> int:
    """Run an UPDATE or DELETE; how many rows it matched. `values` are for its parameters, or columns to set."""
    return (await tx.execute(statement, values or None)).rowcount


def metadata() -> sa.MetaData:
    return sa.MetaData(naming_convention=NAMING)


def after(columns: list[tuple[sa.ColumnElement[Any], bool]], values: list[Any]) -> sa.ColumnElement[bool]:
    """Rows behind `values` in the order of `columns` [(column, descending)]: a keyset page's WHERE clause.

    NULLs sort as the smallest value, whatever the database would do: order such columns with `ordered`.
    """
    clauses: list[sa.ColumnElement[bool]] = []
    equal: list[sa.ColumnElement[bool]] = []
    for (column, descending), value in zip(columns, values, strict=True):
        if value is None:
            beyond: sa.ColumnElement[bool] = sa.false() if descending else column.is_not(None)
        elif descending:
            beyond = sa.or_(column < value, column.is_(None))
        else:
            beyond = column > value
        clauses.append(sa.and_(*equal, beyond))
        equal.append(column.is_(None) if value is None else column == value)
    return sa.or_(*clauses)


def ordered(columns: list[tuple[sa.ColumnElement[Any], bool]]) -> list[sa.ColumnElement[Any]]:
    """ORDER BY for `columns` [(column, descending)] with NULLs as the smallest value on every database."""
    terms: list[sa.ColumnElement[Any]] = []
    for column, descending in columns:
        if getattr(column, "nullable", False):
            is_set = sa.case((column.is_(None), 0), else_=1)
            terms.append(is_set.desc() if descending else is_set.asc())
        terms.append(column.desc() if descending else column.asc())
    return terms
