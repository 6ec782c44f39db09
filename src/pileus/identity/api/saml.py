"""Where what SAML identity providers say of people arrives: by a browser's form, or in a program's envelope."""

from __future__ import annotations

import binascii
import hmac
import secrets
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import msgspec
from starlette.responses import Response

from pileus.identity.contexts import Context
from pileus.identity.faults import Missing
from pileus.identity.federation import people
from pileus.identity.federation.saml import SamlProvider, read
from pileus.identity.federation.saml_documents import MOST_BYTES, Plain
from pileus.identity.keys import BadSignature
from pileus.identity.model import federation, used_once
from pileus.kit.faults import TooLarge, Unauthorized
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx

if TYPE_CHECKING:
    from pileus.identity.federation.saml_messages import Said

PATH = "/v3/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/auth/saml2"
SHIBBOLETH = "/Shibboleth.sso"
STATE_SECONDS, SESSION_SECONDS = 900.0, 60.0
COOKIE, SESSION = "pileus-saml", "pileus-saml-session"
PAOS = "application/vnd.paos+xml"
FORM_BYTES = 2 * MOST_BYTES
routes = Routes()


class _State(msgspec.Struct, kw_only=True):
    """What was asked of a provider; encrypted, and carried by whoever asked."""

    purpose: str = "saml"
    idp_id: str
    protocol_id: str
    request_id: str
    begun_at: float
    relay_state: str = ""
    origin: str = ""


class _Session(msgspec.Struct, kw_only=True):
    """Who a program was found to be when it brought its envelope, for the request that follows."""

    purpose: str = "saml-session"
    idp_id: str
    protocol_id: str
    token: str
    begun_at: float


def _sealed(ctx: Ctx, state: _State | _Session) -> str:
    return ctx.app.credential_keys.encrypt(msgspec.json.encode(state))


def _opened(ctx: Ctx, sealed: str) -> _State:
    try:
        state = msgspec.json.decode(ctx.app.credential_keys.decrypt(sealed), type=_State)
    except (BadSignature, UnicodeEncodeError, msgspec.DecodeError) as error:
        raise Unauthorized() from error
    if state.purpose != "saml" or not 0 <= ctx.clock() - state.begun_at < STATE_SECONDS:
        raise Unauthorized()
    return state


async def _provider(ctx: Ctx, idp_id: str, protocol_id: str) -> SamlProvider:
    found = ctx.app.saml.find(idp_id, protocol_id)
    if found is None:
        raise Missing(kind="federated protocol", id=protocol_id)
    async with ctx.db.read() as reader:
        await people.must_vouch(reader, idp_id)
        await federation.get_protocol(reader, idp_id, protocol_id)
    return found


# -- the way there ------------------------------------------------------------------------------------------------


async def begin_browser(ctx: Ctx, idp_id: str, protocol_id: str, origin: str) -> Response:
    """The provider sends the browser back from its own pages by a form, with which only a cookie that is for all sites
    comes along; and such a one needs TLS."""
    relay_state = secrets.token_urlsafe(24)
    provider = await _provider(ctx, idp_id, protocol_id)
    request_id, url = await provider.begin(relay_state)
    state = _State(idp_id=idp_id, protocol_id=protocol_id, request_id=request_id, begun_at=ctx.clock(),
                   relay_state=relay_state, origin=origin)
    answer = Response(status_code=302, headers={"location": url, "cache-control": "no-store"})
    safe = ctx.request.scope.get("scheme") == "https"
    answer.set_cookie(COOKIE, _sealed(ctx, state), max_age=int(STATE_SECONDS), httponly=True, secure=safe,
                      samesite="none" if safe else None)
    return answer


def is_program(ctx: Ctx) -> bool:
    """Whether whoever asks carries envelopes."""
    return PAOS in ctx.request.headers.get("accept", "") and "paos" in ctx.request.headers


async def begin_program(ctx: Ctx, idp_id: str, protocol_id: str) -> Response:
    provider = await _provider(ctx, idp_id, protocol_id)
    envelope = await provider.begin_ecp(lambda request_id: _sealed(ctx, _State(
        idp_id=idp_id, protocol_id=protocol_id, request_id=request_id, begun_at=ctx.clock())))
    return Response(envelope, 200, {"content-type": PAOS, "cache-control": "no-store"})


@routes.get(PATH, policy=None)
async def show_metadata(ctx: Ctx, idp_id: str, protocol_id: str) -> Response:
    """What the identity provider's operator is to be given."""
    provider = await _provider(ctx, idp_id, protocol_id)
    return Response(await provider.metadata(), 200, media_type="application/samlmetadata+xml")


# -- the way back -------------------------------------------------------------------------------------------------


async def _read(ctx: Ctx, most: int) -> bytes:
    raw = b""
    async for chunk in ctx.request.stream():
        raw += chunk
        if len(raw) > most:
            raise TooLarge(limit_bytes=most)
    return raw


async def _log_in(ctx: Ctx, provider: SamlProvider, said: Said) -> tuple[str, Context]:
    """What a provider says counts once."""
    await used_once.use(ctx.db, "saml", said.issuer, said.assertion_id, expires_at=said.ends_at)
    return await people.log_in(ctx.app, provider.idp_id, provider.protocol_id, said.attributes, remote_id=said.issuer)


async def _let_browser_in(ctx: Ctx, provider: SamlProvider, state: _State) -> Response:
    if (state.idp_id, state.protocol_id) != (provider.idp_id, provider.protocol_id):
        raise Unauthorized()
    form = parse_qs((await _read(ctx, FORM_BYTES)).decode(errors="replace"))
    relay_state = form.get("RelayState", [""])[0]
    if not state.origin or not hmac.compare_digest(relay_state.encode(), state.relay_state.encode()):
        raise Unauthorized()
    response = read(_base64(form.get("SAMLResponse", [""])[0]), "post")
    token, _ = await _log_in(ctx, provider, await provider.verified(response, "post", state.request_id))
    answer = Response(people.page_with(state.origin, token), 200, media_type="text/html",
                      headers={"cache-control": "no-store"})
    answer.delete_cookie(COOKIE)
    return answer


async def _let_program_in(ctx: Ctx, provider: SamlProvider, response: Plain) -> Response:
    """As at web servers' modules, it has its token from where it began."""
    request_id = None
    if response.relay_state and not (provider.settings.unsolicited and ":" in response.relay_state):
        state = _opened(ctx, response.relay_state)
        if (state.idp_id, state.protocol_id) != (provider.idp_id, provider.protocol_id):
            raise Unauthorized()
        request_id = state.request_id
    elif not provider.settings.unsolicited:
        raise Unauthorized()
    token, _ = await _log_in(ctx, provider, await provider.verified(response, "soap", request_id))
    session = _Session(idp_id=provider.idp_id, protocol_id=provider.protocol_id, token=token, begun_at=ctx.clock())
    answer = Response(status_code=303, headers={"location": provider.auth_url, "cache-control": "no-store"})
    answer.set_cookie(SESSION, _sealed(ctx, session), max_age=int(SESSION_SECONDS), httponly=True, samesite="strict",
                      secure=ctx.request.scope.get("scheme") == "https")
    return answer


async def end_program(ctx: Ctx, idp_id: str, protocol_id: str) -> Response | None:
    """The token of a program that brought its envelope just now."""
    try:
        session = msgspec.json.decode(ctx.app.credential_keys.decrypt(ctx.request.cookies.get(SESSION, "")),
                                      type=_Session)
    except (BadSignature, UnicodeEncodeError, msgspec.DecodeError):
        return None
    if (session.purpose, session.idp_id, session.protocol_id) != ("saml-session", idp_id, protocol_id) \
            or not 0 <= ctx.clock() - session.begun_at < SESSION_SECONDS:
        return None
    found: Context = await ctx.app.contexts.of(session.token)
    headers = {"x-subject-token": session.token, "vary": "X-Auth-Token", "cache-control": "no-store"}
    answer = Response(found.body, 201, headers, "application/json")
    answer.delete_cookie(SESSION)
    return answer


@routes.post(f"{PATH}/post", policy=None, stream=True)
async def finish_browser(ctx: Ctx, idp_id: str, protocol_id: str) -> Response:
    """A browser comes back from the provider, and goes on to the dashboard with a token."""
    provider = await _provider(ctx, idp_id, protocol_id)
    return await _let_browser_in(ctx, provider, _opened(ctx, ctx.request.cookies.get(COOKIE, "")))


@routes.post(f"{PATH}/ecp", policy=None, stream=True)
async def finish_program(ctx: Ctx, idp_id: str, protocol_id: str) -> Response:
    """A program brings an envelope: an answer to what it asked here, or, from another cloud, to nothing."""
    provider = await _provider(ctx, idp_id, protocol_id)
    return await _let_program_in(ctx, provider, read(await _read(ctx, MOST_BYTES), "soap"))


@routes.post(f"{SHIBBOLETH}/SAML2/POST", policy=None, stream=True)
async def finish_browser_at_shibboleth(ctx: Ctx) -> Response:
    """For all providers that know this address; which it is the browser knows."""
    state = _opened(ctx, ctx.request.cookies.get(COOKIE, ""))
    return await _let_browser_in(ctx, await _provider(ctx, state.idp_id, state.protocol_id), state)


@routes.post(f"{SHIBBOLETH}/SAML2/ECP", policy=None, stream=True)
async def finish_program_at_shibboleth(ctx: Ctx) -> Response:
    """For all providers that know this address; which it is the request says, or else the issuer."""
    response = read(await _read(ctx, MOST_BYTES), "soap")
    if response.relay_state and ":" not in response.relay_state:
        state = _opened(ctx, response.relay_state)
        found = state.idp_id, state.protocol_id
    else:
        found = await ctx.app.saml.at_shibboleth(response.issuer)
    return await _let_program_in(ctx, await _provider(ctx, *found), response)


def _base64(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text.encode())
    except (binascii.Error, UnicodeEncodeError) as error:
        raise Unauthorized() from error
