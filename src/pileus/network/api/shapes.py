"""What the bodies and views of all resources share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import msgspec
from msgspec import UNSET, UnsetType

from pileus.kit.clock import stamp
from pileus.kit.numbers import digits
from pileus.kit.web import Ctx
from pileus.network import faults
from pileus.network.model.base import Row

if TYPE_CHECKING:
    from pileus.network.runtime import Network

Text = Annotated[str, msgspec.Meta(max_length=255)]
UuidText = Annotated[str, msgspec.Meta(
    pattern="^[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$")]
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=36)]
Tag = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern="^[^,]*$")]
MANY_TAGS = 50               # on one resource
MaybeText = Text | None | UnsetType
MaybeBool = bool | UnsetType
ProjectId = Annotated[str, msgspec.Meta(max_length=64)] | UnsetType


class Created(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What every resource can be made with."""

    name: Text = ""
    description: Text | None = ""
    project_id: ProjectId = UNSET
    tenant_id: ProjectId = UNSET


class Changed(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Text | UnsetType = UNSET
    description: MaybeText = UNSET


class Standard(msgspec.Struct, kw_only=True, gc=False):
    """What every resource tells."""

    id: str
    name: str
    description: str
    project_id: str
    tenant_id: str
    created_at: str
    updated_at: str
    revision_number: int
    tags: list[str] = []


def standard(row: Row, tags: list[str]) -> dict[str, Any]:
    return {"id": row.id, "name": row.name, "description": row.description, "project_id": row.project_id,
            "tenant_id": row.project_id, "created_at": stamp(row.created_at), "updated_at": stamp(row.updated_at),
            "revision_number": row.generation, "tags": tags}


class Owned(Protocol):
    """A body that may say whose the new resource is."""

    project_id: ProjectId
    tenant_id: ProjectId


def owner(ctx: Ctx, body: Owned) -> str:
    """The project a new resource belongs to. Only admins and services make things for others."""
    given = body.project_id if body.project_id is not UNSET else body.tenant_id
    mine = ctx.caller.project_id or ""
    if given is UNSET or given == mine:
        return mine
    if not (ctx.caller.is_admin or ctx.caller.has("service")):
        raise faults.ForeignProject()
    return str(given)


def must_allow(ctx: Ctx, rule: str, target: Mapping[str, Any] | None = None) -> None:
    if not ctx.allows(rule, dict(target) if target is not None else None):
        raise faults.PolicyNotAuthorized(rule=rule)


def given(body: msgspec.Struct, **rename: str) -> dict[str, Any]:
    """The fields a client sent, under the names of columns."""
    return {rename.get(name, name): value for name in body.__struct_fields__
            if (value := getattr(body, name)) is not UNSET and name not in ("project_id", "tenant_id")}


def texts(values: dict[str, Any]) -> dict[str, Any]:
    """Clients may say null for an empty description."""
    return values | {"description": values["description"] or ""} if "description" in values else values


def check_revision(ctx: Ctx, row: Row) -> None:
    """If-Match: revision_number=N makes a change conditional."""
    asked = ctx.request.headers.get("if-match", "")
    if not asked:
        return
    name, _, number = asked.strip().strip('"').partition("=")
    revision = digits(number)
    if name != "revision_number" or revision is None:
        raise faults.InvalidInput(reason=f"'{asked}' is not revision_number=N")
    if revision != row.generation:
        raise faults.RevisionMismatch(wanted=number, found=row.generation)


def app(ctx: Ctx) -> Network:
    """The running service, typed."""
    return ctx.app


def sees_all(ctx: Ctx) -> bool:
    """Whether lists show this caller everybody's things."""
    return ctx.caller.is_admin or ctx.caller.has("service")
