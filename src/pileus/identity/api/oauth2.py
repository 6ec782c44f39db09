"""OAuth 2.0: an application credential, or a user with a certificate, is the client, and gets a token of ours."""

from __future__ import annotations

import base64
import binascii
from http import HTTPStatus
from urllib.parse import parse_qs, unquote_plus

import msgspec
from starlette.responses import Response

from pileus.identity import authentication, certificates
from pileus.identity.authentication import AppCredentialPart, AuthRequest, Proof
from pileus.kit.faults import TooLarge, Unauthorized
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx

FORM = "application/x-www-form-urlencoded"
MOST_BYTES = 16_384
routes = Routes()


def _refused(ctx: Ctx, status: int, error: str, why: str) -> Response:
    headers = {"cache-control": "no-store"}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = f'Keystone uri="{ctx.base_url}/v3"'
    return Response(msgspec.json.encode({"error": error, "error_description": why}), status, headers,
                    "application/json")


def _client(ctx: Ctx) -> tuple[str, str] | None:
    """Id and secret, as HTTP's basic authentication carries them."""
    scheme, _, text = ctx.request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        id, colon, secret = base64.b64decode(text.strip(), validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (unquote_plus(id), unquote_plus(secret)) if colon and id and secret else None


async def _form(ctx: Ctx) -> dict[str, list[str]]:
    raw = b""
    async for chunk in ctx.request.stream():
        raw += chunk
        if len(raw) > MOST_BYTES:
            raise TooLarge(limit_bytes=MOST_BYTES)
    return parse_qs(raw.decode(errors="replace"))


@routes.post("/v3/OS-OAUTH2/token", policy=None, stream=True)
async def get_token(ctx: Ctx) -> Response:
    """A client that shows a certificate is the user that it names; its tokens are good with that certificate only."""
    form = await _form(ctx)
    client, named = _client(ctx), form.get("client_id", [])
    by_certificate = ctx.certificate is not None and len(named) == 1
    if client is None and not by_certificate:
        return _refused(ctx, 401, "invalid_client", "Client authentication failed: name the client by basic "
                                                    "authentication.")
    grants = form.get("grant_type", [])
    if len(grants) != 1:
        return _refused(ctx, 400, "invalid_request", "The parameter grant_type is required, once.")
    if grants[0] != "client_credentials":
        return _refused(ctx, 400, "unsupported_grant_type",
                        "The OAUTH2.0 authorization server only supports client_credentials.")
    try:
        if by_certificate:
            token, found = await certificates.log_in(ctx.app, named[0], ctx.certificate or b"")
        else:
            id, secret = client or ("", "")
            token, found = await authentication.log_in(ctx.app, AuthRequest(identity=Proof(
                methods=["application_credential"], application_credential=AppCredentialPart(id=id, secret=secret))))
    except Unauthorized:
        return _refused(ctx, 401, "invalid_client", "Client authentication failed.")
    answer = {"access_token": token, "token_type": "Bearer",
              "expires_in": int(found.token.expires_at - ctx.clock())}
    return Response(msgspec.json.encode(answer), 200, {"cache-control": "no-store"}, "application/json")
