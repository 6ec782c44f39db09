"""Messages to users: why something they asked for did not happen."""

from __future__ import annotations

from typing import Annotated

import msgspec

from pileus.kit.policy import PROJECT_MEMBER, PROJECT_READER, Rule
from pileus.kit.routes import Page, Routes, Target
from pileus.kit.versions import since
from pileus.kit.web import Ctx
from pileus.volume import versions
from pileus.volume.api.values import Query, listed, unsifted
from pileus.volume.faults import MessageNotFound
from pileus.volume.model import listing, notices
from pileus.volume.model.notices import KEPT_SECONDS, Notice
from pileus.volume.model.tables import notices as table
from pileus.volume.paths import Link, links_to
from pileus.volume.times import iso

routes = Routes()
MESSAGE = Target(notices.get, missing=MessageNotFound)
WINDOW = since(versions.MESSAGES)


class MessageView(msgspec.Struct, kw_only=True):
    id: str
    event_id: str
    user_message: str
    message_level: str
    resource_type: str
    resource_uuid: str | None
    request_id: str
    created_at: str
    guaranteed_until: str
    links: Annotated[list[Link], since(versions.MESSAGES)]


def view(ctx: Ctx, row: Notice) -> MessageView:
    return MessageView(id=row.id, event_id=row.event_id, user_message=row.sentence, message_level="ERROR",
                       resource_type=row.resource_type, resource_uuid=row.resource_id, request_id=row.request_id,
                       created_at=iso(row.created_at), guaranteed_until=iso(row.created_at + KEPT_SECONDS),
                       links=links_to(ctx, f"messages/{row.id}"))


@routes.get("/v3/messages", envelope="messages", window=WINDOW, policy=Rule("message:get_all", PROJECT_READER))
async def list_messages(ctx: Ctx, query: Query) -> Page[MessageView]:
    asked = query if ctx.version >= versions.MESSAGE_LISTS else unsifted(query)
    wanted = listed(ctx, asked, filters={"resource_id", "resource_type", "request_id"},
                    sortable={"id", "created_at", "resource_type", "resource_id", "request_id"},
                    renamed={"resource_uuid": "resource_id"})
    async with ctx.db.read() as reader:
        found = await listing.page(reader, table, wanted, Notice)
    return Page([view(ctx, row) for row in found.rows], found.next_marker)


@routes.get("/v3/messages/{message_id}", envelope="message", target=MESSAGE, window=WINDOW,
            policy=Rule("message:get", PROJECT_READER))
async def show_message(ctx: Ctx, row: Notice) -> MessageView:
    return view(ctx, row)


@routes.delete("/v3/messages/{message_id}", target=MESSAGE, window=WINDOW,
               policy=Rule("message:delete", PROJECT_MEMBER))
async def delete_message(ctx: Ctx, row: Notice) -> None:
    async with ctx.db.write() as tx:
        await tx.execute(table.delete().where(table.c.id == row.id))
