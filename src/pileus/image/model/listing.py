"""Lists of images: query strings as SQL conditions, in the order and from the marker the client asks for."""

from __future__ import annotations

import csv
import datetime
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.image import faults
from pileus.image.model import tables
from pileus.image.model.images import VISIBILITIES, Image, sees_all
from pileus.image.model.tables import images, members
from pileus.kit import db
from pileus.kit.caller import Caller
from pileus.kit.db import Connection
from pileus.kit.numbers import digits
from pileus.kit.recent import Recent

Query = Mapping[str, Sequence[str]]
VERSION = ("id", "generation", "created_at")    # every change but a sign of life of an upload gives a new generation
DEFAULT_LIMIT, MOST = 25, 1000
SORT_KEYS = ("name", "status", "container_format", "disk_format", "size", "id", "created_at", "updated_at")
NOT_FILTERS = {"limit", "marker", "sort", "sort_key", "sort_dir", "visibility", "member_status", "tag", "os_hidden"}
EXACT = ("id", "name", "status", "disk_format", "container_format", "owner", "checksum", "os_hash_algo",
         "os_hash_value")
NUMBERS = ("size", "min_disk", "min_ram", "virtual_size")
AT: dict[str, Callable[[Any, float], sa.ColumnElement[bool]]] = {      # times are shown, and compared, by whole seconds
    "gt": lambda column, second: column >= second + 1, "gte": lambda column, second: column >= second,
    "lt": lambda column, second: column < second, "lte": lambda column, second: column < second + 1,
    "eq": lambda column, second: sa.and_(column >= second, column < second + 1),
    "neq": lambda column, second: sa.or_(column < second, column >= second + 1)}


def limit_of(query: Query) -> int:
    text = query.get("limit", [str(DEFAULT_LIMIT)])[-1]
    if (number := digits(text)) is None:
        raise faults.BadRequest(reason="limit param must be a positive integer" if text.startswith("-")
                                else "limit param must be an integer")
    return min(number, MOST)


class Listed(msgspec.Struct, frozen=True):
    """An image, and what lists show of it, as JSON."""

    image: Image
    shown: msgspec.Raw


def recent(view: Callable[[Image], Mapping[str, Any]]) -> Recent[Image, Listed]:
    return Recent(images, Image, VERSION, lambda image: Listed(image, msgspec.Raw(msgspec.json.encode(view(image)))))


async def page(conn: Connection, query: Query, caller: Caller, known: Recent[Image, Listed]
               ) -> tuple[list[Listed], str | None]:
    """The images the query asks for and, when there are more, the id to go on from."""
    limit = limit_of(query)
    wanted = _wanted(tuple((name, tuple(values)) for name, values in query.items() if name != "marker"),
                     caller.project_id or "", sees_all(caller))
    marker = query.get("marker", [""])[-1]
    if marker:
        after = await db.one(conn, sa.select(images).where(images.c.id == marker), Image)
        if after is None:
            raise faults.BadRequest(reason=f"The marker {marker} is not an image.")
        order = _order(query)
        wanted = wanted.where(db.after(order, [getattr(after, column.name) for column, _ in order]))
    if limit == 0:
        return [], None
    found = await known.many(conn, wanted)
    return found[:limit], found[limit - 1].image.id if len(found) > limit else None


@functools.lru_cache(maxsize=100)
def _wanted(items: tuple[tuple[str, tuple[str, ...]], ...], project: str, sees_every: bool) -> sa.Select:
    """The versions from the beginning of the list on. A statement is kept, for SQLAlchemy remembers with it what it
    looks like as SQL, which takes as long to find out as to run it."""
    query = dict(items)
    return sa.select(*(images.c[name] for name in VERSION)).where(
        *_visible(query, project, sees_every), *_filters(query)).order_by(
        *db.ordered(_order(query))).limit(limit_of(query) + 1)


# -- order ----------------------------------------------------------------------------------

def _order(query: Query) -> list[tuple[sa.ColumnElement[Any], bool]]:
    if "sort" in query and ("sort_key" in query or "sort_dir" in query):
        raise faults.BadRequest(reason="Old and new sorting syntax cannot be combined")
    if "sort" in query:
        pairs = [(part.strip().partition(":")[0], part.strip().partition(":")[2] or "desc")
                 for text in query["sort"] for part in text.split(",")]
    else:
        keys, directions = query.get("sort_key", ["created_at"]), query.get("sort_dir", [])
        if len(directions) > 1 and len(directions) != len(keys):
            raise faults.BadRequest(reason="Number of sort dirs does not match the number of sort keys")
        pairs = [(key, directions[n] if n < len(directions) else directions[-1] if directions else "desc")
                 for n, key in enumerate(keys)]
    for key, direction in pairs:
        if key not in SORT_KEYS:
            raise faults.BadRequest(reason=f"Invalid sort key: {key}. It must be one of: {', '.join(SORT_KEYS)}.")
        if direction not in ("asc", "desc"):
            raise faults.BadRequest(reason=f"Invalid sort direction: {direction}. It must be one of: asc, desc.")
    for key in ("created_at", "id"):
        if key not in [name for name, _ in pairs]:
            pairs.append((key, pairs[0][1]))
    return [(images.c[key], direction == "desc") for key, direction in pairs]


# -- who sees what --------------------------------------------------------------------------

def _visible(query: Query, project: str, sees_every: bool) -> list[sa.ColumnElement[bool]]:
    wanted = query.get("visibility", [None])[-1]
    if wanted not in (None, "all", *VISIBILITIES):
        raise faults.BadRequest(reason=f"Invalid visibility value: {wanted}")
    status = query.get("member_status", [None])[-1]
    if status not in (None, "accepted", "pending", "rejected", "all"):
        raise faults.BadRequest(reason=f"Invalid status: {status}")
    chosen = [images.c.visibility == wanted] if wanted not in (None, "all") else []
    if sees_every and status is None:
        return chosen
    shared = sa.select(members.c.image_id).where(members.c.member_id == project, *(
        [members.c.status == (status or "accepted")] if status != "all" else []))
    mine = sa.or_(images.c.owner == project, images.c.visibility == "public",
                  sa.and_(images.c.visibility == "shared", images.c.id.in_(shared)))
    if wanted in ("community", "all"):
        mine = sa.or_(mine, images.c.visibility == "community")
    if status is not None and wanted == "shared":
        mine = sa.and_(images.c.id.in_(shared), images.c.visibility == "shared")
    return [*chosen, mine]


# -- filters --------------------------------------------------------------------------------

def _filters(query: Query) -> list[sa.ColumnElement[bool]]:
    hidden = query.get("os_hidden", ["false"])[-1]
    found: list[sa.ColumnElement[bool]] = [images.c.os_hidden == _truth("os_hidden", hidden)]
    for tag in query.get("tag", []):
        found.append(images.c.id.in_(sa.select(tables.tags.c.image_id).where(tables.tags.c.tag == tag)))
    for name, values in query.items():
        if name not in NOT_FILTERS:
            found += [_filter(name, value) for value in values]
    return found


def _filter(name: str, value: str) -> sa.ColumnElement[bool]:
    if name in EXACT:
        return images.c[name].in_(_listed(value[3:])) if value.startswith("in:") else images.c[name] == value
    if name in NUMBERS:
        return images.c[name] == _number(name, value)
    if name in ("size_min", "size_max"):
        number = _number(name, value)
        return images.c.size >= number if name == "size_min" else images.c.size <= number
    if name in ("created_at", "updated_at"):
        return _at(images.c[name], value)
    if name == "protected":
        return images.c.protected == _truth(name, value)
    return images.c.id.in_(sa.select(tables.properties.c.image_id).where(
        tables.properties.c.name == name, tables.properties.c.value == value))


def _listed(text: str) -> list[str]:
    """Values after in:, with commas between them; those with commas inside are quoted."""
    return next(csv.reader([text], skipinitialspace=True), [])


def _number(name: str, value: str) -> int:
    number = digits(value)
    if number is None or number >= 2 ** 63:
        raise faults.BadRequest(reason=f"Invalid {name}: {value} is not a number")
    return number


def _truth(name: str, value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise faults.BadRequest(reason=f"Invalid {name}: must be 'true' or 'false', not {value}")
    return value.lower() == "true"


def _at(column: sa.ColumnElement[Any], value: str) -> sa.ColumnElement[bool]:
    """`gt:2024-01-01T00:00:00Z`"""
    operator, _, text = value.partition(":")
    if operator not in AT:
        operator, text = "eq", value
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise faults.BadRequest(reason=f"Unable to filter on a time with the value {value}.") from None
    seconds = moment.replace(tzinfo=moment.tzinfo or datetime.UTC).timestamp()
    return AT[operator](column, float(int(seconds)))
