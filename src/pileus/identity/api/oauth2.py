"""OAuth 2.0: an application credential is the client, and what it gets is a token like all others."""

from __future__ import annotations

import base64
import binascii
from http import HTTPStatus
from urllib.parse import parse_qs, unquote_plus

import msgspec
from starlette.responses import Response

from pileus.identity import authentication
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


@routes.post("/v3/OS-OAUTH2/token", policy=None, stream=True)
async def get_token(ctx: Ctx) -> Response:
    client = _client(ctx)
    if client is None:
        return _refused(ctx, 401, "invalid_client", "Client authentication failed: name the client by basic "
                                                    "authentication.")
    raw = b""
    async for chunk in ctx.request.stream():
        raw += chunk
        if len(raw) > MOST_BYTES:
            raise TooLarge(limit_bytes=MOST_BYTES)
    form = parse_qs(raw.decode(errors="replace"))
    grants = form.get("grant_type", [])
    if len(grants) != 1:
        return _refused(ctx, 400, "invalid_request", "The parameter grant_type is required, once.")
    if grants[0] != "client_credentials":
        return _refused(ctx, 400, "unsupported_grant_type",
                        "The OAUTH2.0 authorization server only supports client_credentials.")
    part = AppCredentialPart(id=client[0], secret=client[1])
    try:
        token, found = await authentication.log_in(ctx.app, AuthRequest(identity=Proof(
            methods=["application_credential"], application_credential=part)))
    except Unauthorized:
        return _refused(ctx, 401, "invalid_client", "Client authentication failed.")
    answer = {"access_token": token, "token_type": "Bearer",
              "expires_in": int(found.token.expires_at - ctx.clock())}
    return Response(msgspec.json.encode(answer), 200, {"cache-control": "no-store"}, "application/json")
