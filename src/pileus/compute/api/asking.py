"""Other services asked in a caller's name, for the routes of compute that stand in for theirs."""

from __future__ import annotations

from typing import Any

from pileus.kit.client import Client, Refused
from pileus.kit.faults import BadRequest, Forbidden, NotFound
from pileus.kit.web import Ctx


class NotThere(NotFound):
    message = "{reason}"


async def ask_network(ctx: Ctx, method: str, path: str, body: Any = None, **query: Any) -> Any:
    """The network service's answer to the caller; its refusals in our envelope. What is in use, or there already, was a
    bad request here."""
    return await _ask(ctx, ctx.app.network, method, path, body, query)


async def ask_volume(ctx: Ctx, method: str, path: str, body: Any = None, **query: Any) -> Any:
    """The same of the volume service."""
    return await _ask(ctx, ctx.app.volume, method, path, body, query)


async def _ask(ctx: Ctx, client: Client, method: str, path: str, body: Any, query: dict[str, Any]) -> Any:
    try:
        return await client.as_caller(ctx.caller.token).call(method, path, body, query=query)
    except Refused as error:
        kinds = {400: BadRequest, 403: Forbidden, 404: NotThere, 409: BadRequest, 413: Forbidden}
        if error.status not in kinds:
            raise
        kind = Forbidden if error.status == 409 and "uota" in error.message else kinds[error.status]
        raise kind(reason=error.message) from error
