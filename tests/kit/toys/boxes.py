"""Boxes: table, faults, saga, routes and manifest, in the shape every service has."""

from __future__ import annotations

import uuid
from typing import Annotated

import msgspec
import sqlalchemy as sa

from pileus.kit import db, faults, policy
from pileus.kit.caller import Caller
from pileus.kit.policy import Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.saga import Abort, Saga, Turn, Wait, saga, step
from pileus.kit.service import Runtime, Service
from pileus.kit.versions import Ledger, since, until
from pileus.kit.web import Ctx
from tests.kit.toys import migrations

LEDGER = Ledger("toys", oldest="1.0", header="x-toys-version")
COLOR = LEDGER.add("1.1", "Boxes have a colour")
NO_STATE = LEDGER.add("1.2", "Boxes no longer tell their state")

metadata = db.metadata()
boxes = sa.Table(
    "box", metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("project_id", sa.String(64), nullable=False),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("color", sa.String(16)),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.UniqueConstraint("project_id", "name"),
)


class BoxNotFound(faults.NotFound):
    message = "Box {box_id} could not be found."


class NameTaken(faults.Conflict):
    message = "There is a box named {name}."


class Box(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    project_id: str
    name: str
    state: str = "new"
    color: str | None = None
    generation: int = 1


async def get(conn, box_id: str) -> Box:
    row = await db.one(conn, sa.select(boxes).where(boxes.c.id == box_id), Box)
    if row is None:
        raise BoxNotFound(box_id=box_id)
    return row


@saga("toys.pack_box")
class PackBox(Saga, kw_only=True):
    box_id: str
    token: str = ""

    @step(local=True)
    async def accept(self, turn: Turn) -> None:
        """Nothing to do; the undo is what the user sees."""

    @accept.undo
    async def mark_broken(self, turn: Turn) -> None:
        await db.change(turn.tx, boxes, await get(turn.tx, self.box_id), state="broken")

    @step
    async def fill(self, turn: Turn) -> None:
        if not self.token:
            self.token = "t-" + self.box_id
            await turn.save()
        turn.services.filled[self.box_id] = self.token
        if turn.services.refuse:
            raise Abort("no more paper")

    @fill.undo
    async def empty(self, turn: Turn) -> None:
        turn.services.filled.pop(self.box_id, None)

    @step
    async def wait_for_tape(self, turn: Turn) -> None:
        if not turn.services.tape:
            raise Wait(3600)

    @step(local=True)
    async def close(self, turn: Turn) -> None:
        await db.change(turn.tx, boxes, await get(turn.tx, self.box_id), state="packed")


@saga("toys.burn_box")
class BurnBox(Saga, kw_only=True):
    box_id: str

    @step(pivot=True)
    async def burn(self, turn: Turn) -> None:
        turn.services.filled.pop(self.box_id, None)

    @step(local=True)
    async def forget(self, turn: Turn) -> None:
        await turn.tx.execute(boxes.delete().where(boxes.c.id == self.box_id))


class BoxCreate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    color: Annotated[str | None, since(COLOR)] = None


class BoxQuery(msgspec.Struct, kw_only=True):
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = 100
    marker: str | None = None
    name: list[str] = []


class BoxView(msgspec.Struct, kw_only=True):
    id: str
    name: str
    state: Annotated[str | msgspec.UnsetType, until(NO_STATE)] = msgspec.UNSET
    color: Annotated[str | None, since(COLOR)] = None


def view(box: Box) -> BoxView:
    return BoxView(id=box.id, name=box.name, state=box.state, color=box.color)


BOX = Target(get, missing=BoxNotFound)
routes = Routes()


@routes.get("/boxes", envelope="boxes", policy=Rule("toys:list", policy.PROJECT_READER))
async def list_boxes(ctx: Ctx, query: BoxQuery) -> Page[BoxView]:
    async with ctx.db.read() as reader:
        wanted = sa.select(boxes).where(boxes.c.project_id == ctx.caller.project_id)
        if query.name:
            wanted = wanted.where(boxes.c.name.in_(query.name))
        if query.marker:
            wanted = wanted.where(boxes.c.name > (await get(reader, query.marker)).name)
        found = await db.many(reader, wanted.order_by(boxes.c.name).limit(query.limit + 1), Box)
    more = found[query.limit - 1].id if len(found) > query.limit else None
    return Page([view(box) for box in found[:query.limit]], next_marker=more)


@routes.post("/boxes", envelope="box", bulk="boxes", status=202, policy=Rule("toys:create", policy.PROJECT_MEMBER))
async def create_boxes(ctx: Ctx, body: list[BoxCreate]) -> list[BoxView]:
    new = [Box(id=str(uuid.uuid4()), project_id=ctx.caller.project_id or "", name=b.name, color=b.color) for b in body]
    ctx.span("validate")
    try:
        async with ctx.db.write() as tx:
            await db.add(tx, boxes, *new)
            for box in new:
                await ctx.sagas.start(tx, PackBox(box_id=box.id), box.id, spans=ctx.spans)
    except db.Taken as error:
        raise NameTaken(name=body[0].name) from error
    return [view(box) for box in new]


@routes.get("/boxes/{box_id}", envelope="box", target=BOX, policy=Rule("toys:show", policy.PROJECT_READER))
async def show_box(ctx: Ctx, box: Box) -> BoxView:
    return view(box)


KEPT = Target(get, missing=BoxNotFound, refuse=lambda path: {})


@routes.get("/kept/{box_id}", envelope="box", target=KEPT, policy=Rule("toys:show_kept", policy.PROJECT_READER))
async def show_kept_box(ctx: Ctx, box: Box) -> BoxView:
    return view(box)


@routes.delete("/boxes/{box_id}", target=BOX, policy=Rule("toys:delete", policy.PROJECT_MEMBER))
async def delete_box(ctx: Ctx, box: Box) -> None:
    async with ctx.db.write() as tx:
        await ctx.sagas.start(tx, BurnBox(box_id=box.id), box.id, supersede=True)


@routes.action("/boxes/{box_id}/action", "paint", target=BOX, policy=Rule("toys:paint", policy.PROJECT_MEMBER),
               window=since(COLOR), envelope="box", status=200)
async def paint_box(ctx: Ctx, box: Box, body: str) -> BoxView:
    async with ctx.db.write() as tx:
        return view(await db.change(tx, boxes, box, color=body))


@routes.get("/", policy=None)
async def versions(ctx: Ctx) -> dict[str, str]:
    return {"newest": str(LEDGER.newest), "self": ctx.base_url}


def envelope(ctx: Ctx, fault: faults.Fault) -> tuple[bytes, str]:
    return msgspec.json.encode({fault.code: {"code": fault.status, "message": str(fault)}}), "application/json"


def page_links(ctx: Ctx, route, next_marker: str | None) -> dict:
    if next_marker is None:
        return {}
    return {f"{route.envelope}_links": [{"rel": "next", "href": ctx.url_with(marker=next_marker)}]}


SERVICE = Service(name="toys", type="toys", ledger=LEDGER, metadata=metadata, migrations=migrations, routes=routes,
                  envelope=envelope, page_links=page_links, sagas=(PackBox, BurnBox), body_bytes=2000,
                  legacy=("/old", ""))


class Toys(Runtime):
    filled: dict[str, str]
    refuse = False
    tape = True


async def authenticate(token: str) -> Caller:
    if "@" not in token:
        raise faults.Unauthorized()
    role, project = token.split("@")
    return Caller(user_id="u", project_id=project, roles=(role,) if role != "member" else ("member", "reader"))
