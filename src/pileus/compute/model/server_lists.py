"""Lists of servers: filters, orders and pages of GET /servers."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.compute.model.servers import SEEN, Seen, see_all
from pileus.compute.model.states import MORE_STATUSES, STATUS, STATUS_OF_TASK, State
from pileus.compute.model.tables import servers, tags
from pileus.kit import db
from pileus.kit.db import Connection
from pileus.kit.faults import BadRequest
from pileus.kit.numbers import INT_MAX, digits
from pileus.kit.patterns import compiled
from pileus.kit.saga import sagas

SORTABLE = {
    "created_at": servers.c.created_at, "updated_at": servers.c.updated_at, "display_name": servers.c.name,
    "name": servers.c.name, "host": servers.c.host, "uuid": servers.c.id, "vm_state": servers.c.state,
    "project_id": servers.c.project_id, "user_id": servers.c.user_id, "image_ref": servers.c.image_id,
    "instance_type_id": servers.c.flavor_id, "key_name": servers.c.key_name, "power_state": servers.c.power,
    "availability_zone": servers.c.zone, "launched_at": servers.c.launched_at, "locked": servers.c.locked,
    "launch_index": servers.c.launch_index, "access_ip_v4": servers.c.access_ip_v4,
    "access_ip_v6": servers.c.access_ip_v6, "config_drive": servers.c.config_drive, "hostname": servers.c.hostname,
    "display_description": servers.c.description, "terminated_at": servers.c.deleted_at, "node": servers.c.host,
}
FILTERS = {
    "project_id": servers.c.project_id, "user_id": servers.c.user_id, "host": servers.c.host, "node": servers.c.host,
    "flavor": servers.c.flavor_id, "image": servers.c.image_id, "uuid": servers.c.id, "key_name": servers.c.key_name,
    "reservation_id": servers.c.reservation_id, "availability_zone": servers.c.zone, "hostname": servers.c.hostname,
    "vm_state": servers.c.state, "power_state": servers.c.power, "locked": servers.c.locked,
    "config_drive": servers.c.config_drive, "access_ip_v4": servers.c.access_ip_v4,
    "access_ip_v6": servers.c.access_ip_v6, "launch_index": servers.c.launch_index,
    "description": servers.c.description,
}
MOMENTS = {"created_at": servers.c.created_at, "launched_at": servers.c.launched_at,
           "terminated_at": servers.c.deleted_at}
PROGRESS = {"ACTIVE": 100}                    # of a status; 0 for all others
BY_STATUS = {name: state for state, name in STATUS.items()}
BATCH = 500


def filter_value(name: str, text: str) -> Any:
    """A filter's text as its column's type. Raises BadRequest."""
    kind = FILTERS[name].type
    if name == "vm_state" and text == State.OFFLOADED.as_told:
        return State.OFFLOADED
    if isinstance(kind, sa.Boolean):
        return text.lower() in ("1", "true", "t", "yes", "y", "on")
    if isinstance(kind, sa.Integer):
        number = digits(text)
        if number is None or number > INT_MAX:
            raise BadRequest(reason=f"Invalid filter field: {name}.")
        return number
    return text


class Wanted(msgspec.Struct, kw_only=True):
    """A list request after its checks. Times are seconds since the epoch."""

    project_id: str | None = None             # None: of every project
    exact: dict[str, list[Any]] = {}          # keys of FILTERS
    moments: dict[str, float] = {}            # keys of MOMENTS; told, and asked for, by the second
    task_states: list[str] | None = None
    progress: int | None = None
    name: str | None = None                   # regular expression
    statuses: list[str] | None = None
    ip: str | None = None
    ip6: str | None = None
    tags: list[str] = []
    tags_any: list[str] = []
    not_tags: list[str] = []
    not_tags_any: list[str] = []
    changes_since: float | None = None
    changes_before: float | None = None
    deleted: bool | None = False              # None: both
    soft_deleted: bool = False                # those too
    sort: list[tuple[str, bool]] = []         # (key of SORTABLE, descending)
    limit: int
    marker: str | None = None


def _has(tag: str) -> sa.ColumnElement[bool]:
    return sa.exists().where(tags.c.server_id == servers.c.id, tags.c.tag == tag)


def _conditions(wanted: Wanted) -> list[sa.ColumnElement[bool]]:
    found: list[sa.ColumnElement[bool]] = []
    if wanted.deleted is not None:
        found.append(servers.c.alive.is_(None) if wanted.deleted else servers.c.alive)
    if wanted.changes_since is not None:
        found.append(servers.c.updated_at >= wanted.changes_since)
    if wanted.changes_before is not None:
        found.append(servers.c.updated_at <= wanted.changes_before)
    if wanted.project_id is not None:
        found.append(servers.c.project_id == wanted.project_id)
    found += [FILTERS[key].in_(values) for key, values in wanted.exact.items()]
    for key, moment in wanted.moments.items():
        found += [MOMENTS[key] >= moment, MOMENTS[key] < moment + 1]
    if wanted.task_states is not None:
        found.append(sagas.c.name.is_not(None))
    found += [_has(tag) for tag in wanted.tags]
    if wanted.tags_any:
        found.append(sa.or_(*map(_has, wanted.tags_any)))
    if wanted.not_tags:
        found.append(sa.not_(sa.and_(*map(_has, wanted.not_tags))))
    if wanted.not_tags_any:
        found.append(sa.not_(sa.or_(*map(_has, wanted.not_tags_any))))
    if wanted.statuses is not None:
        states = [BY_STATUS[name] for name in wanted.statuses if name in BY_STATUS]
        tasks = {STATUS_OF_TASK[name] for name in wanted.statuses if name in STATUS_OF_TASK}
        found.append(sa.or_(servers.c.state.in_(states), sagas.c.name.in_(tasks) if tasks else sa.false()))
    if State.SOFT_DELETED.name not in (wanted.statuses or ()) and not wanted.soft_deleted:
        found.append(servers.c.state != State.SOFT_DELETED)
    return found


def _fits(seen: Seen, wanted: Wanted) -> bool:
    """What only the row can tell: regular expressions, addresses, the status while a saga runs."""
    if wanted.name is not None and not compiled(wanted.name).search(seen.server.name):
        return False
    if wanted.statuses is not None and seen.status not in wanted.statuses:
        return False
    if wanted.task_states is not None and (seen.doing is None or seen.doing.task not in wanted.task_states):
        return False
    if wanted.progress is not None and PROGRESS.get(seen.status, 0) != wanted.progress:
        return False
    for pattern, version in ((wanted.ip, 4), (wanted.ip6, 6)):
        addresses = [a.address for nic in seen.server.nics for a in nic.addresses if a.version == version]
        if pattern is not None and not any(map(compiled(pattern).search, addresses)):
            return False
    return True


async def page(conn: Connection, wanted: Wanted) -> tuple[list[Seen], bool]:
    """Up to `limit` servers behind the marker, and whether there are more."""
    for pattern in filter(None, (wanted.name, wanted.ip, wanted.ip6)):
        compiled(pattern)                   # refused also where there is no row to look at
    order: list[tuple[sa.ColumnElement[Any], bool]] = [(SORTABLE[key], down) for key, down in wanted.sort]
    order = order or [(servers.c.created_at, True)]
    order.append((servers.c.id, order[-1][1]))
    query = SEEN.where(*_conditions(wanted)).order_by(*db.ordered(order))
    behind: list[Any] | None = None
    if wanted.marker is not None:
        mark = (await conn.execute(sa.select(*(column for column, _ in order)).where(
            servers.c.id == wanted.marker,
            *([servers.c.project_id == wanted.project_id] if wanted.project_id else [])))).first()
        if mark is None:
            raise BadRequest(reason=f"marker [{wanted.marker}] not found")
        behind = list(mark)
    sifted = (wanted.name, wanted.ip, wanted.ip6, wanted.task_states, wanted.progress)
    batch = wanted.limit + 1 if sifted == (None,) * 5 else max(wanted.limit + 1, BATCH)
    found: list[Seen] = []
    while len(found) <= wanted.limit:
        piece = query if behind is None else query.where(db.after(order, behind))
        rows = await see_all(conn, piece.limit(batch))
        found += [seen for seen in rows if _fits(seen, wanted)]
        if len(rows) < batch:
            break
        last = rows[-1].server
        behind = [getattr(last, str(column.key)) for column, _ in order]
    return found[:wanted.limit], len(found) > wanted.limit


def is_known_status(name: str) -> bool:
    return name in BY_STATUS or name in MORE_STATUSES or name == State.DELETED.upper()
