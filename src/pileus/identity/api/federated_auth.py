"""How people come from identity providers: programs with a bearer token, browsers by single sign-on."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Any

import msgspec
from starlette.responses import Response

from pileus.identity.api import saml
from pileus.identity.contexts import Context
from pileus.identity.faults import InvalidBody, Missing, Refused
from pileus.identity.federation import people
from pileus.identity.federation.oidc import OidcProvider, assertion_of
from pileus.identity.keys import BadSignature
from pileus.identity.model import federation
from pileus.kit.faults import Unauthorized
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx

AUTH = "/v3/OS-FEDERATION/identity_providers/{idp_id}/protocols/{protocol_id}/auth"
SSO = "/v3/auth/OS-FEDERATION"
STATE_SECONDS = 900.0
COOKIE = "pileus-sso"
routes = Routes()


class Origin(msgspec.Struct, kw_only=True):
    origin: str = ""


class Return(msgspec.Struct, kw_only=True):
    code: str = ""
    state: str = ""
    error: str = ""
    iss: str | None = None


class _State(msgspec.Struct, kw_only=True):
    """What a browser carries to the provider and back, encrypted. `bound` is a digest of its cookie, so that nobody can
    make another's browser log in as somebody else."""

    purpose: str = "sso"
    idp_id: str
    protocol_id: str
    origin: str
    nonce: str
    verifier: str
    bound: str
    begun_at: float


def _provider(ctx: Ctx, idp_id: str, protocol_id: str) -> OidcProvider:
    found = ctx.app.oidc.find(idp_id, protocol_id)
    if found is None:
        raise Missing(kind="federated protocol", id=protocol_id)
    return found


def _answer(text: str, found: Context) -> Response:
    return Response(found.body, 201, {"x-subject-token": text, "vary": "X-Auth-Token"}, "application/json")


@routes.get(AUTH, policy=None)
@routes.post(AUTH, policy=None)
async def log_in_with_bearer(ctx: Ctx, idp_id: str, protocol_id: str) -> Response:
    """With a token of the provider as bearer token; programs that speak SAML begin with nothing."""
    if ctx.app.saml.find(idp_id, protocol_id) is not None:
        if (answer := await saml.end_program(ctx, idp_id, protocol_id)) is not None:
            return answer
        if not saml.is_program(ctx):
            raise Unauthorized()
        return await saml.begin_program(ctx, idp_id, protocol_id)
    async with ctx.db.read() as reader:
        await people.must_vouch(reader, idp_id)
    provider = _provider(ctx, idp_id, protocol_id)
    scheme, _, token = ctx.request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthorized()
    claims = await provider.claims_of(token.strip())
    return _answer(*await people.log_in(ctx.app, idp_id, protocol_id, assertion_of(claims),
                                        remote_id=provider.settings.issuer))


# -- browsers -----------------------------------------------------------------------------------------------------


@routes.get(f"{SSO}/websso/{{protocol_id}}", policy=None)
async def begin_sso(ctx: Ctx, protocol_id: str, query: Origin) -> Response:
    """Where there is one provider that speaks the protocol, it is the one."""
    found = [*ctx.app.oidc.of_protocol(protocol_id), *ctx.app.saml.of_protocol(protocol_id)]
    if not found:
        raise Missing(kind="federated protocol", id=protocol_id)
    if len(found) > 1:
        raise InvalidBody(reason="Several identity providers speak this protocol; name one by "
                                 f"{SSO}/identity_providers/IDP/protocols/{protocol_id}/websso.")
    return await _begin(ctx, found[0], protocol_id, query.origin)


@routes.get(f"{SSO}/identity_providers/{{idp_id}}/protocols/{{protocol_id}}/websso", policy=None)
async def begin_sso_with(ctx: Ctx, idp_id: str, protocol_id: str, query: Origin) -> Response:
    return await _begin(ctx, idp_id, protocol_id, query.origin)


def _redirect_uri(ctx: Ctx) -> str:
    return f"{ctx.base_url}{SSO}/callback"


def _digest(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()


async def _begin(ctx: Ctx, idp_id: str, protocol_id: str, origin: str) -> Response:
    if origin not in ctx.app.federation.trusted_dashboards:
        raise Unauthorized()
    if ctx.app.saml.find(idp_id, protocol_id) is not None:
        return await saml.begin_browser(ctx, idp_id, protocol_id, origin)
    async with ctx.db.read() as reader:
        await people.must_vouch(reader, idp_id)
        await federation.get_protocol(reader, idp_id, protocol_id)
    provider = _provider(ctx, idp_id, protocol_id)
    cookie = secrets.token_urlsafe(32)
    state = _State(idp_id=idp_id, protocol_id=protocol_id, origin=origin, nonce=secrets.token_urlsafe(24),
                   verifier=secrets.token_urlsafe(48), bound=_digest(cookie), begun_at=ctx.clock())
    sealed = ctx.app.credential_keys.encrypt(msgspec.json.encode(state))
    url = await provider.authorization_url(_redirect_uri(ctx), sealed, state.nonce, state.verifier)
    answer = Response(status_code=302, headers={"location": url, "cache-control": "no-store"})
    answer.set_cookie(COOKIE, cookie, max_age=int(STATE_SECONDS), httponly=True, samesite="lax",
                      secure=ctx.request.scope.get("scheme") == "https")
    return answer


@routes.get(f"{SSO}/callback", policy=None)
async def finish_sso(ctx: Ctx, query: Return) -> Response:
    """The browser comes back from the provider, and goes on to the dashboard with a token."""
    state = _opened(ctx, query.state)
    if query.error:
        raise Refused(reason=f"The identity provider refuses: {query.error[:100]}")
    provider = _provider(ctx, state.idp_id, state.protocol_id)
    if query.iss not in (None, provider.settings.issuer):
        raise Unauthorized()
    claims = await provider.exchange(query.code, _redirect_uri(ctx), state.nonce, state.verifier)
    token, _ = await people.log_in(ctx.app, state.idp_id, state.protocol_id, assertion_of(claims),
                                   remote_id=provider.settings.issuer)
    answer = Response(people.page_with(state.origin, token), 200, media_type="text/html",
                      headers={"cache-control": "no-store"})
    answer.delete_cookie(COOKIE)
    return answer


def _opened(ctx: Ctx, sealed: str) -> _State:
    try:
        state = msgspec.json.decode(ctx.app.credential_keys.decrypt(sealed), type=_State)
    except (BadSignature, msgspec.DecodeError) as error:
        raise Unauthorized() from error
    cookie: Any = ctx.request.cookies.get(COOKIE, "")
    if not hmac.compare_digest(_digest(cookie), state.bound) or state.purpose != "sso" \
            or not 0 <= ctx.clock() - state.begun_at < STATE_SECONDS:
        raise Unauthorized()
    return state
