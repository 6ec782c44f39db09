"""/os-services/get_log and set_log: how much the parts of this service tell, asked and changed while they run."""

from __future__ import annotations

import platform
from typing import Annotated, Any, Literal

import msgspec

from pileus.kit import log
from pileus.kit.bus import Failed, Message, NobodyThere
from pileus.kit.faults import BadRequest, Unavailable
from pileus.kit.policy import ADMIN, Rule
from pileus.kit.routes import Routes
from pileus.kit.versions import since
from pileus.kit.web import Ctx
from pileus.volume import versions
from pileus.volume.messages import SetLogLevel, ShowLogLevels
from pileus.volume.model import services

routes = Routes()
UPDATE = Rule("volume_extension:services:update", ADMIN)
API = "cinder-api"
BINARIES = (API, services.SCHEDULER, services.VOLUME, services.BACKUP)
Text = Annotated[str, msgspec.Meta(max_length=255)]


class Asked(msgspec.Struct, kw_only=True):
    binary: Text | None = None
    server: Text | None = None
    prefix: Text | None = None


class Levels(msgspec.Struct, kw_only=True):
    binary: str
    host: str
    levels: dict[str, str]


class Wished(Asked, kw_only=True):
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "debug", "info", "warning", "error"]


async def _parts(ctx: Ctx, body: Asked) -> list[tuple[str, str, str | None]]:
    """(binary, host, the back end whose process it is) of those that are up; this process has no such name."""
    if body.binary not in (None, "", "*", *BINARIES):
        raise BadRequest(reason=f"Invalid input received: there is no binary {body.binary}; there are"
                                f" {', '.join(BINARIES)}.")
    async with ctx.db.read() as reader:
        rows = [row for row in await services.every(reader) if row.is_up(ctx.clock())]
    back_ends = [row.host for row in rows if row.binary == services.VOLUME]
    found: list[tuple[str, str, str | None]] = [(API, platform.node(), None)]
    for row in rows:
        near = next((each for each in back_ends if each.partition("@")[0] == row.host), None)
        found.append((row.binary, row.host, row.host if row.binary == services.VOLUME else
                      near if row.binary == services.BACKUP else None))
    return [each for each in found if body.binary in (None, "", "*", each[0]) and body.server in (None, "", each[1])]


@routes.put("/v3/os-services/get_log", window=since(versions.LOG_LEVELS), policy=UPDATE)
async def show_log_levels(ctx: Ctx, body: Asked) -> dict[str, Any]:
    prefix = body.prefix or ""
    found = []
    for binary, host, back_end in await _parts(ctx, body):
        levels = log.levels(prefix) if back_end is None else await _ask(ctx, ShowLogLevels(prefix=prefix), back_end)
        found.append(Levels(binary=binary, host=host, levels=levels))
    return {"log_levels": found}


@routes.put("/v3/os-services/set_log", status=202, window=since(versions.LOG_LEVELS), policy=UPDATE)
async def set_log_levels(ctx: Ctx, body: Wished) -> None:
    prefix, level = body.prefix or "", body.level.upper()
    for _, _, back_end in await _parts(ctx, body):
        if back_end is None:
            log.set_level(prefix, level)
        else:
            await _ask(ctx, SetLogLevel(prefix=prefix, level=level), back_end)


async def _ask(ctx: Ctx, message: Message, back_end: str) -> Any:
    try:
        return await ctx.app.bus.call(message, host=back_end)
    except (Failed, NobodyThere) as error:
        raise Unavailable(reason=f"{back_end} does not answer: {error}") from error
