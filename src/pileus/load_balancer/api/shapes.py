"""What the bodies and the views of all resources share, and what their handlers do alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from pileus.kit import db
from pileus.kit.caller import Caller
from pileus.kit.clock import stamp
from pileus.kit.db import Connection
from pileus.kit.faults import Fault
from pileus.kit.numbers import INT_MAX
from pileus.kit.saga import Saga
from pileus.kit.web import Ctx
from pileus.load_balancer.faults import Immutable, NotAllowed, Unsupported
from pileus.load_balancer.model import quotas, rows
from pileus.load_balancer.model.rows import LoadBalancer, Part, Provisioning
from pileus.load_balancer.sagas.apply_changes import ApplyChanges

if TYPE_CHECKING:
    from pileus.load_balancer.runtime import LoadBalancers

BASE = "/v2.0/lbaas"
PROVIDER = "haproxy"
PROVIDERS = {PROVIDER: "HAProxy in a network namespace of a host."} | dict.fromkeys(
    ("octavia", "amphora"), "The same as haproxy, for tools that ask by this name.")
Text = Annotated[str, msgspec.Meta(max_length=255)]
END = r"(?![\s\S])"                     # $ would let a line break come after it, and with it lines of a configuration
Plain = Annotated[str, msgspec.Meta(max_length=255, pattern=rf"^[^\x00-\x1f\x7f]*{END}")]
Tag = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=36)]
PortNumber = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Whole = Annotated[int, msgspec.Meta(ge=0, le=INT_MAX)]
P = TypeVar("P", bound=Part)


class Changed(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What may be said of everything, when it is made or later."""

    name: Text | None | UnsetType = UNSET
    admin_state_up: bool | None | UnsetType = UNSET
    tags: list[Tag] | None | UnsetType = UNSET


class Created(Changed, kw_only=True, forbid_unknown_fields=True):
    project_id: Id | None = None
    tenant_id: Id | None = None


class DescribedChange(Changed, kw_only=True, forbid_unknown_fields=True):
    description: Text | None | UnsetType = UNSET


class Ref(msgspec.Struct, frozen=True):
    id: str


class PartView(msgspec.Struct, kw_only=True):
    """What everything tells."""

    id: str
    name: str
    project_id: str
    tenant_id: str
    admin_state_up: bool
    provisioning_status: str
    operating_status: str
    tags: list[str]
    created_at: str
    updated_at: str | None


def hidden_from_nobody(row: Any, caller: Caller) -> bool:
    """Who may not see a thing is told so (403), as Octavia does."""
    return False


def of_part(row: Part) -> dict[str, Any]:
    return {"id": row.id, "name": row.name or "", "project_id": row.project_id, "tenant_id": row.project_id,
            "admin_state_up": row.admin_state_up, "provisioning_status": row.provisioning_status,
            "operating_status": row.operating_status, "tags": row.tags, "created_at": stamp(row.created_at),
            "updated_at": None if row.updated_at is None else stamp(row.updated_at)}


def same(row: Any, view: type[msgspec.Struct]) -> dict[str, Any]:
    """The fields of a view that are columns as they are."""
    return {name: getattr(row, name) for name in view.__struct_fields__ if hasattr(row, name)}


def app(ctx: Ctx) -> LoadBalancers:
    """The running service, typed."""
    return ctx.app


def owner(ctx: Ctx, project_id: str | None) -> str:
    """The project a new thing belongs to. Only admins make things for others. Raises NotAllowed."""
    mine = ctx.caller.project_id or ""
    if project_id not in (None, mine) and not ctx.caller.is_admin:
        raise NotAllowed()
    return project_id or mine


def created(ctx: Ctx, body: Changed, project_id: str) -> dict[str, Any]:
    """The columns that everything has."""
    return {"project_id": project_id, "name": body.name or "", "tags": sorted(set(body.tags or [])),
            "admin_state_up": body.admin_state_up is not False, "created_at": ctx.clock()}


def given(body: msgspec.Struct) -> dict[str, Any]:
    """The fields that a client sent."""
    return {name: value for name in body.__struct_fields__ if (value := getattr(body, name)) is not UNSET}


def changed(body: Changed) -> dict[str, Any]:
    """The same as columns have them, where null stands for what it was when nothing had been said."""
    values = given(body)
    for name, usual in (("name", ""), ("description", ""), ("admin_state_up", True), ("tags", [])):
        if name in values and values[name] is None:
            values[name] = usual
    if "tags" in values:
        values["tags"] = sorted(set(values["tags"]))
    return values


async def begin(ctx: Ctx, tx: Connection, balancer_id: str) -> LoadBalancer:
    """Take the load balancer for a change, and have hosts told of it afterwards. Raises Immutable while another change
    is going on, and for one in ERROR, which only a failover helps."""
    balancer = await rows.get(tx, LoadBalancer, balancer_id)
    if balancer.provisioning_status != Provisioning.ACTIVE:
        raise Immutable(what=LoadBalancer.title, id=balancer_id)
    balancer = await rows.change(tx, balancer, provisioning_status=Provisioning.UPDATING)
    await start(ctx, tx, ApplyChanges(balancer_id=balancer_id), balancer_id)
    return balancer


async def start(ctx: Ctx, tx: Connection, saga: Saga, balancer_id: str) -> None:
    try:
        await ctx.sagas.start(tx, saga, balancer_id)
    except db.Taken as error:
        raise Immutable(what=LoadBalancer.title, id=balancer_id) from error


async def alter(ctx: Ctx, tx: Connection, row: P, values: dict[str, Any]) -> P:
    """Write a part's new values; hosts have them when it is ACTIVE again."""
    return await rows.change(tx, await rows.get(tx, type(row), row.id), **values,
                             provisioning_status=Provisioning.UPDATING)


async def going(tx: Connection, *parts: Part) -> None:
    """They are deleted once no host has them."""
    for part in parts:
        await rows.change(tx, part, provisioning_status=Provisioning.DELETING)


async def must_fit(ctx: Ctx, tx: Connection, kind: type[Part], project_id: str, more: int = 1) -> None:
    await quotas.must_fit(tx, app(ctx).config.quotas, kind, project_id, more)


async def add(ctx: Ctx, tx: Connection, row: Part, taken: Fault | None = None) -> None:
    """Within its project's quota. Raises QuotaMet, or `taken` where the database has such a one already."""
    await must_fit(ctx, tx, type(row), row.project_id)
    try:
        await db.add(tx, row.table, row)
    except db.Taken as error:
        raise taken or db.Collision(str(error)) from error


def unsupported(reason: str) -> Unsupported:
    return Unsupported(provider=PROVIDER, reason=reason)
