"""Booleans, numbers and lists as clients of the Block Storage API write them, and what handlers do alike."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from pileus.kit import db, numbers
from pileus.kit.db import Connection
from pileus.kit.faults import BadRequest
from pileus.kit.saga import Saga
from pileus.kit.web import Ctx
from pileus.volume import times, versions
from pileus.volume.faults import Busy
from pileus.volume.model.listing import COMPARISONS, Wanted

MOST = 1000                        # things in one page
BIGGEST = 0x7FFFFFFF
TRUE, FALSE = {"1", "t", "true", "on", "y", "yes"}, {"0", "f", "false", "off", "n", "no"}
Name = Annotated[str, msgspec.Meta(max_length=255)]
Key = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Metadata = dict[Key, Annotated[str, msgspec.Meta(max_length=255)]]
Query = dict[str, list[str]]
TIMES = {"created_at", "updated_at"}


def truth(value: bool | str | int | None, field: str) -> bool:
    """A boolean, or a word for one. Raises BadRequest."""
    if isinstance(value, bool):
        return value
    if (word := str(value).strip().lower()) not in TRUE | FALSE:
        raise BadRequest(reason=f"Invalid input for field/attribute {field}. Value: {value}. "
                                f"'{value}' is not a boolean")
    return word in TRUE


def whole(value: Any, field: str, least: int = 0) -> int:
    """An integer, or its digits. Raises BadRequest."""
    number = numbers.whole(value.strip() if isinstance(value, str) else value)
    if number is None or not least <= number <= BIGGEST:
        raise BadRequest(reason=f"Invalid input for field/attribute {field}. Value: {value}. "
                                f"It must be an integer between {least} and {BIGGEST}.")
    return number


def listed(ctx: Ctx, query: Query, *, filters: set[str], sortable: set[str], renamed: dict[str, str] | None = None,
           most: int = MOST) -> Wanted:
    """The list request, checked. `filters` and `sortable` are columns; others are passed over as clients expect."""
    one = {key: values[-1] for key, values in query.items()}
    everyone = ctx.caller.is_admin and truth(one.get("all_tenants", "0") or "1", "all_tenants")
    limit = min(whole(one["limit"], "limit"), most) if "limit" in one else most
    wanted = Wanted(project_id=None if everyone else ctx.caller.project_id, limit=limit,
                    offset=whole(one.get("offset", "0"), "offset"), marker=one.get("marker"),
                    sort=_sort(query, sortable, renamed or {}))
    wanted.counted = "with_count" in one and ctx.version >= versions.COUNTS and truth(one["with_count"], "with_count")
    if everyone and (project := one.get("project_id") or one.get("tenant_id")):
        wanted.exact = {"project_id": [project]}
    for key, value in one.items():
        name = (renamed or {}).get(key, key)
        if name.endswith("~") and ctx.version >= versions.LIKE_FILTERS:
            bare = (renamed or {}).get(name[:-1], name[:-1])
            if bare in filters:
                wanted.like[bare] = value
        elif name in TIMES and ctx.version >= versions.TIME_COMPARISONS:
            wanted.times += _comparisons(name, value)
        elif name in filters:
            wanted.exact[name] = [value]
    return wanted


def dictionary(text: str, field: str) -> dict[str, str]:
    """{'key': 'value'} as clients write it, in quotes of either kind. Raises BadRequest."""
    try:
        return msgspec.json.decode(text.replace("'", '"').replace('u"', '"'), type=dict[str, str])
    except msgspec.DecodeError:
        raise BadRequest(reason=f"{field} is no dictionary of texts: {text}") from None


def unsifted(query: Query) -> Query:
    """Of a list that was not filtered, sorted or paged yet."""
    return {key: values for key, values in query.items() if key == "all_tenants"}


def _comparisons(name: str, text: str) -> list[tuple[str, str, float]]:
    found = []
    for part in text.split(","):
        how, colon, when = part.partition(":")
        if not colon or how not in COMPARISONS:
            how, when = "eq", part
        found.append((name, how, times.parse(when, name)))
    return found


def _sort(query: Query, sortable: set[str], renamed: dict[str, str]) -> list[tuple[str, bool]]:
    if "sort" in query and ("sort_key" in query or "sort_dir" in query):
        raise BadRequest(reason="The 'sort_key' and 'sort_dir' parameters are deprecated and cannot be used with the "
                                "'sort' parameter.")
    pairs: list[tuple[str, str]] = []
    if "sort" in query:
        for part in query["sort"][-1].split(","):
            key, _, direction = part.strip().partition(":")
            pairs.append((key, direction or "desc"))
    elif "sort_key" in query or "sort_dir" in query:
        pairs = [(query.get("sort_key", ["created_at"])[-1].strip(), query.get("sort_dir", ["desc"])[-1].strip())]
    found = []
    for key, direction in pairs:
        name = renamed.get(key, key)
        if not {key, name} & sortable:
            raise BadRequest(reason=f"Sort key supplied is invalid: {key}")
        if direction not in ("asc", "desc"):
            raise BadRequest(reason=f"Unknown sort direction, must be one of: asc, desc; not {direction}")
        found.append((name, direction == "desc"))
    return found


def counted(count: int | None) -> dict[str, Any]:
    return {} if count is None else {"count": count}


async def start(ctx: Ctx, tx: Connection, saga: Saga, subject: str, *, supersede: bool = False) -> None:
    """Raises Busy where something is being done to the subject that must end first."""
    try:
        await ctx.sagas.start(tx, saga, subject, supersede=supersede)
    except db.Taken as error:
        raise Busy(what="What you ask for", id=subject) from error


def stripped(name: str | None) -> str | None:
    return name.strip() if isinstance(name, str) else name
