"""Consoles: a token, and the address at which it opens a server's screen or serial port once."""

from __future__ import annotations

import secrets
from typing import Annotated, Any, Literal
from urllib.parse import quote

import msgspec

from pileus.compute import versions
from pileus.compute.api.server_actions import PATH
from pileus.compute.api.server_insides import ask_host
from pileus.compute.api.server_items import BASE
from pileus.compute.api.servers import SERVER
from pileus.compute.faults import ConsoleTypeInvalid, ConsoleTypeUnavailable, TokenNotFound
from pileus.compute.messages import FindConsole
from pileus.compute.model import console_tokens
from pileus.compute.model.console_tokens import ConsoleToken
from pileus.compute.model.servers import Seen
from pileus.kit.policy import ADMIN, PROJECT_MEMBER, Rule
from pileus.kit.routes import Routes
from pileus.kit.versions import since, until
from pileus.kit.web import Ctx

routes = Routes()
TOKEN_SECONDS = 600.0
KINDS: dict[str, Literal["vnc", "serial"]] = {"novnc": "vnc", "serial": "serial"}
OF_PROTOCOL = {"vnc": {"novnc", "xvpvnc"}, "spice": {"spice-html5", "spice-direct"}, "serial": {"serial"},
               "rdp": {"rdp-html5"}, "mks": {"webmks"}}
OPEN = Rule("os_compute_api:os-remote-consoles", PROJECT_MEMBER)
Type = Literal["novnc", "xvpvnc", "spice-html5", "spice-direct", "serial", "rdp-html5", "webmks"]


class ConsoleWish(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    protocol: Literal["vnc", "spice", "serial", "rdp", "mks"]
    type: Type


class ConsoleView(msgspec.Struct, kw_only=True):
    protocol: str
    type: str
    url: str


class OldWish(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    type: str


class OldView(msgspec.Struct, kw_only=True):
    type: str
    url: str


async def _open(ctx: Ctx, seen: Seen, console_type: str) -> str:
    """The address of a console of that type. The guest has to run."""
    kind = KINDS.get(console_type)
    if kind is None:
        raise ConsoleTypeUnavailable(console_type=console_type)
    await ask_host(ctx, seen, FindConsole(guest_id=seen.id, kind=kind))
    token, now = secrets.token_urlsafe(32), ctx.clock()
    async with ctx.db.write() as tx:
        await console_tokens.add(tx, ConsoleToken(
            digest=console_tokens.digest_of(token), server_id=seen.id, host=seen.server.host or "", kind=kind,
            expires_at=now + TOKEN_SECONDS), now)
    if kind == "serial":
        return f"{ctx.origin.replace('http', 'ws', 1)}/console/socket?token={token}"
    return f"{ctx.origin}/console/vnc.html?path={quote(f'console/socket?token={token}', safe='')}"


@routes.post(f"{BASE}/remote-consoles", status=200, envelope="remote_console", target=SERVER,
             window=since(versions.REMOTE_CONSOLES), policy=OPEN)
async def create_console(ctx: Ctx, seen: Seen, body: ConsoleWish) -> ConsoleView:
    if body.type not in OF_PROTOCOL[body.protocol] or (
            body.type == "spice-direct" and ctx.version < versions.DIRECT_SPICE):
        raise ConsoleTypeInvalid(console_type=body.type)
    return ConsoleView(protocol=body.protocol, type=body.type, url=await _open(ctx, seen, body.type))


def _old(action: str, types: set[str]) -> None:
    """One of the actions that there were before."""

    @routes.action(PATH, action, status=200, envelope="console", target=SERVER,
                   window=until(versions.REMOTE_CONSOLES), policy=OPEN)
    async def open_console(ctx: Ctx, seen: Seen, body: OldWish) -> OldView:
        if body.type not in types:
            raise ConsoleTypeInvalid(console_type=body.type)
        return OldView(type=body.type, url=await _open(ctx, seen, body.type))


_old("os-getVNCConsole", {"novnc", "xvpvnc"})
_old("os-getSerialConsole", {"serial"})
_old("os-getSPICEConsole", {"spice-html5"})
_old("os-getRDPConsole", {"rdp-html5"})


class TokenView(msgspec.Struct, kw_only=True):
    instance_uuid: str
    host: str
    port: int | None = None           # consoles are at sockets in the file system
    tls_port: Annotated[int | None, since(versions.DIRECT_SPICE)] = None
    internal_access_path: str | None = None


@routes.get("/v2.1/os-console-auth-tokens/{token}", envelope="console",
            policy=Rule("os_compute_api:os-console-auth-tokens", ADMIN))
async def show_token(ctx: Ctx, token: str) -> TokenView:
    async with ctx.db.read() as reader:
        found = await console_tokens.find(reader, token, ctx.clock())
    if found is None or ctx.version < versions.CONSOLE_TOKENS:      # until then only those of RDP consoles
        raise TokenNotFound()
    path: Any = await ctx.app.bus.call(FindConsole(guest_id=found.server_id, kind=found.kind), host=found.host)
    return TokenView(instance_uuid=found.server_id, host=found.host, internal_access_path=path)

