"""Shares of servers. Guests get at one by a device that no host here can give them, so no server has any."""

from __future__ import annotations

from typing import Annotated

import msgspec

from pileus.compute import versions
from pileus.compute.api.begin import must_allow
from pileus.compute.api.server_items import BASE
from pileus.compute.api.servers import SERVER
from pileus.compute.model.servers import Seen
from pileus.kit.faults import BadRequest, Forbidden, NotFound
from pileus.kit.ids import is_uuid
from pileus.kit.policy import PROJECT_MEMBER, PROJECT_READER, Rule
from pileus.kit.routes import Page, Routes
from pileus.kit.versions import since
from pileus.kit.web import Ctx

routes = Routes()
WINDOW = since(versions.SHARES)


class ShareNotFound(NotFound):
    message = "Share {share_id} could not be found."


class ShareBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    share_id: str
    tag: Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern="^[a-zA-Z0-9-]*$")] | None = None


class ShareView(msgspec.Struct, kw_only=True):
    share_id: str
    status: str
    tag: str


def _rule(name: str, check: str = PROJECT_MEMBER) -> Rule:
    return Rule(f"os_compute_api:os-server-shares:{name}", check)


@routes.get(f"{BASE}/shares", envelope="shares", target=SERVER, window=WINDOW, policy=_rule("index", PROJECT_READER))
async def list_shares(ctx: Ctx, seen: Seen) -> Page[ShareView]:
    return Page([])


@routes.get(f"{BASE}/shares/{{share_id}}", envelope="share", target=SERVER, window=WINDOW,
            policy=_rule("show", PROJECT_READER))
async def show_share(ctx: Ctx, seen: Seen, share_id: str) -> ShareView:
    raise ShareNotFound(share_id=share_id)


@routes.post(f"{BASE}/shares", envelope="share", status=201, target=SERVER, window=WINDOW, policy=_rule("create"))
async def attach_share(ctx: Ctx, seen: Seen, body: ShareBody) -> ShareView:
    if not is_uuid(body.share_id):
        raise BadRequest(reason=f"Invalid input for field/attribute share_id. Value: {body.share_id}. It is no UUID.")
    must_allow(seen, "create share")
    raise Forbidden(reason="Shares need hosts that give file systems to guests (virtiofs), and there are none.")


@routes.delete(f"{BASE}/shares/{{share_id}}", status=200, target=SERVER, window=WINDOW, policy=_rule("delete"))
async def detach_share(ctx: Ctx, seen: Seen, share_id: str) -> None:
    raise ShareNotFound(share_id=share_id)
