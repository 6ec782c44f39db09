"""POST /servers/{id}/action: power, lock, console log."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from pileus.compute import versions
from pileus.compute.api.begin import begin, busy
from pileus.compute.api.room import kept_limits, room_for, taken_by
from pileus.compute.api.servers import SERVER, action_of, start_deletion
from pileus.compute.faults import WrongState
from pileus.compute.messages import ReadConsole
from pileus.compute.model import servers
from pileus.compute.model.servers import Power, Seen, State
from pileus.compute.sagas.power_server import PowerServer, Wanted
from pileus.kit.bus import Failed, NobodyThere
from pileus.kit.db import Connection
from pileus.kit.faults import BadRequest, Conflict, Unavailable
from pileus.kit.numbers import whole
from pileus.kit.policy import ADMIN, PROJECT_MEMBER, Rule
from pileus.kit.routes import Routes
from pileus.kit.versions import since
from pileus.kit.web import Ctx

routes = Routes()
PATH = "/v2.1/servers/{server_id}/action"
CONSOLE_BYTES = 102_400            # upstream's most


def _rule(name: str, check: str = PROJECT_MEMBER) -> Rule:
    return Rule(f"os_compute_api:{name}", check)


async def _power(ctx: Ctx, seen: Seen, action: str, wanted: Wanted) -> None:
    await begin(ctx, seen, action, PowerServer(server_id=seen.id, wanted=wanted))


@routes.action(PATH, "os-start", target=SERVER, policy=_rule("servers:start"))
async def start_server(ctx: Ctx, seen: Seen, body: Any) -> None:
    await _power(ctx, seen, "start", Wanted.START)


@routes.action(PATH, "os-stop", target=SERVER, policy=_rule("servers:stop"))
async def stop_server(ctx: Ctx, seen: Seen, body: Any) -> None:
    await _power(ctx, seen, "stop", Wanted.STOP)


class Reboot(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    type: Literal["SOFT", "HARD", "soft", "hard", "Soft", "Hard"]


@routes.action(PATH, "reboot", target=SERVER, policy=_rule("servers:reboot"))
async def reboot_server(ctx: Ctx, seen: Seen, body: Reboot) -> None:
    """A guest that is off has nothing to be asked: a soft reboot of it is refused."""
    hard = body.type.upper() == "HARD"
    if not hard and seen.server.state != State.ACTIVE:
        raise WrongState(action="reboot", server_id=seen.id, attribute="vm_state", state=seen.server.state)
    await _power(ctx, seen, "reboot", Wanted.HARD_REBOOT if hard else Wanted.REBOOT)


@routes.action(PATH, "pause", target=SERVER, policy=_rule("os-pause-server:pause"))
async def pause_server(ctx: Ctx, seen: Seen, body: Any) -> None:
    await _power(ctx, seen, "pause", Wanted.PAUSE)


@routes.action(PATH, "unpause", target=SERVER, policy=_rule("os-pause-server:unpause"))
async def unpause_server(ctx: Ctx, seen: Seen, body: Any) -> None:
    await _power(ctx, seen, "unpause", Wanted.UNPAUSE)


@routes.action(PATH, "suspend", target=SERVER, policy=_rule("os-suspend-server:suspend"))
async def suspend_server(ctx: Ctx, seen: Seen, body: Any) -> None:
    await _power(ctx, seen, "suspend", Wanted.SUSPEND)


@routes.action(PATH, "resume", target=SERVER, policy=_rule("os-suspend-server:resume"))
async def resume_server(ctx: Ctx, seen: Seen, body: Any) -> None:
    await _power(ctx, seen, "resume", Wanted.RESUME)


class Lock(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    locked_reason: Annotated[Annotated[str, msgspec.Meta(min_length=1, max_length=255)] | None,
                             since(versions.LOCKED_REASON)] = None


async def _set_locked(ctx: Ctx, seen: Seen, locked: bool, reason: str | None) -> None:
    async with ctx.db.write() as tx:
        await servers.record_action(
            tx, action_of(ctx, seen.id, seen.project_id, "lock" if locked else "unlock"))
        await servers.change(tx, seen.server, ctx.clock(), locked=locked, locked_reason=reason)


@routes.action(PATH, "lock", target=SERVER, policy=_rule("os-lock-server:lock"))
async def lock_server(ctx: Ctx, seen: Seen, body: Lock | None) -> None:
    await _set_locked(ctx, seen, True, body.locked_reason if body else None)


@routes.action(PATH, "unlock", target=SERVER, policy=_rule("os-lock-server:unlock"))
async def unlock_server(ctx: Ctx, seen: Seen, body: Any) -> None:
    await _set_locked(ctx, seen, False, None)


class ResetState(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    state: Literal["active", "error"]


@routes.action(PATH, "os-resetState", target=SERVER, policy=_rule("os-admin-actions:reset_state", ADMIN))
async def reset_state(ctx: Ctx, seen: Seen, body: ResetState) -> None:
    """Sagas end by themselves; this only corrects what is written of a server that nothing is being done to."""
    if seen.doing is not None:
        raise busy(seen, "reset_state")
    state = State(body.state)
    async with ctx.db.write() as tx:
        await servers.record_action(tx, action_of(ctx, seen.id, seen.project_id, "resetState"))
        await servers.change(tx, seen.server, ctx.clock(), state=state,
                             power=Power.RUNNING if state == State.ACTIVE else seen.server.power)


@routes.action(PATH, "forceDelete", target=SERVER, policy=_rule("os-deferred-delete:force"))
async def force_delete(ctx: Ctx, seen: Seen, body: Any) -> None:
    """At once, whatever deletion may be deferred for."""
    await start_deletion(ctx, seen, at_once=True)


@routes.action(PATH, "restore", target=SERVER, policy=_rule("os-deferred-delete:restore"))
async def restore_server(ctx: Ctx, seen: Seen, body: Any) -> None:
    """It counts again, and so has to fit into its project's quota."""
    kept = await kept_limits(ctx, seen.project_id)

    async def also(tx: Connection) -> None:
        await room_for(tx, ctx, seen.server, kept, taken_by(seen.server))

    await begin(ctx, seen, "restore", PowerServer(server_id=seen.id, wanted=Wanted.RESTORE), also=also)


class ConsoleOutput(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    length: int | str | None = None


class ConsoleLog(msgspec.Struct, kw_only=True):
    output: str


@routes.action(PATH, "os-getConsoleOutput", status=200, target=SERVER, policy=_rule("os-console-output"))
async def console_output(ctx: Ctx, seen: Seen, body: ConsoleOutput | None) -> ConsoleLog:
    lines = _lines(body.length if body else None)
    if not seen.server.host:
        raise Conflict(reason=f"Instance {seen.id} is not ready")
    try:
        raw: bytes = await ctx.app.bus.call(ReadConsole(guest_id=seen.id, lines=lines), host=seen.server.host)
    except Failed as error:
        raise Conflict(reason=f"Instance {seen.id} has no console: {error}") from error
    except NobodyThere as error:
        raise Unavailable(reason=f"The host of instance {seen.id} does not answer; try again later.") from error
    text = raw[-CONSOLE_BYTES:].decode(errors="replace")
    if lines:
        text = "\n".join(text.split("\n")[-lines:])          # upstream counts what follows the last line's end
    return ConsoleLog(output="".join(c for c in text if c in "\n\t\r" or c >= " "))


def _lines(length: int | str | None) -> int | None:
    if length is None or length in (-1, "-1"):
        return None
    found = whole(length)
    if found is None or found < -1:
        raise BadRequest(reason=f"Invalid input for field/attribute length. Value: {length}.")
    return min(found, CONSOLE_BYTES)            # no log that is handed out has more lines than that

