"""Requests signed as OAuth 1.0a wants it: read from their header, and checked against the secrets."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from oauthlib.oauth1.rfc5849 import signature, utils

from pileus.identity.model import oauth, used_once
from pileus.identity.model.oauth import AccessToken, Consumer, RequestToken
from pileus.kit.faults import Unauthorized

if TYPE_CHECKING:
    from pileus.identity.runtime import Identity
    from pileus.kit.web import Ctx

METHODS = {"HMAC-SHA1": hashlib.sha1, "HMAC-SHA256": hashlib.sha256, "HMAC-SHA512": hashlib.sha512}
MOUNTS = ("/identity", "/keystone")    # the paths by which identity is reached
LATE = 600.0                           # seconds by which a request's time may differ from ours
LONGEST = 8192


class Signed:
    """A request and the parameters of its header; nothing of it is believed before `must_be_signed`."""

    def __init__(self, method: str, urls: list[str], header: str):
        self.method, self.urls, self.header = method, urls, header if len(header) <= LONGEST else ""
        self.fields: dict[str, str] = {}
        if self.header.lower().startswith("oauth "):
            try:
                pairs = utils.parse_authorization_header(self.header)
            except ValueError as error:
                raise Unauthorized() from error
            self.fields = {name: utils.unescape(value) for name, value in pairs if name.startswith("oauth_")}

    @classmethod
    def of(cls, ctx: Ctx) -> Signed:
        """Clients sign the address that they log in at, and send to the one that the catalog names."""
        url, root = ctx.url_with(), ctx.request.scope.get("root_path", "")
        before, _, after = url.partition(f"{root}/")
        urls = [url] + [f"{before}{other}/{after}" for other in MOUNTS if root in MOUNTS and other != root]
        return cls(ctx.request.method, urls, ctx.request.headers.get("authorization", ""))

    def must_be_signed(self, now: float, consumer_secret: str, token_secret: str = "") -> None:
        """Raises Unauthorized unless whoever sent it knows both secrets."""
        digest = METHODS.get(self.fields.get("oauth_signature_method", ""))
        stamp = self.fields.get("oauth_timestamp", "")
        if digest is None or not (stamp.isascii() and stamp.isdigit()) or len(stamp) > 12 \
                or abs(int(stamp) - now) > LATE or not self.fields.get("oauth_nonce") \
                or self.fields.get("oauth_version", "1.0") != "1.0":
            raise Unauthorized()
        key = f"{utils.escape(consumer_secret)}&{utils.escape(token_secret)}".encode()
        found = self.fields.get("oauth_signature", "").encode(errors="replace")
        if not any([hmac.compare_digest(base64.b64encode(hmac.digest(key, self._base(url), digest)), found)
                    for url in self.urls]):
            raise Unauthorized()

    def _base(self, url: str) -> bytes:
        """What is signed if the request went to `url`."""
        try:
            parameters: Any = signature.collect_parameters(uri_query=urlsplit(url).query,
                                                           headers={"Authorization": self.header})
            method: Any = self.method
            return signature.signature_base_string(
                method, signature.base_string_uri(url), signature.normalize_parameters(parameters)).encode()
        except ValueError as error:
            raise Unauthorized() from error


async def consumer_of(app: Identity, signed: Signed) -> Consumer:
    """Who signed says they are."""
    async with app.db.read() as reader:
        consumer = await oauth.find_consumer(reader, signed.fields.get("oauth_consumer_key", ""))
    if consumer is None:
        raise Unauthorized()
    return consumer


async def must_be_signed_by(app: Identity, signed: Signed, consumer: Consumer,
                            token: RequestToken | AccessToken | None = None) -> None:
    """And, with a token, by its secret as well. It must be one of that consumer's and not have ended. A request counts
    once: its time and nonce are remembered for as long as its time would do."""
    if token is not None and (token.consumer_id != consumer.id or token.expires_at <= app.clock()):
        raise Unauthorized()
    plain = [app.credential_keys.decrypt(row.secret).decode() for row in (consumer, token) if row is not None]
    signed.must_be_signed(app.clock(), *plain)
    stamp, nonce = signed.fields["oauth_timestamp"], signed.fields["oauth_nonce"]
    await used_once.use(app.db, "oauth1", consumer.id, token.id if token else "", stamp, nonce,
                        expires_at=int(stamp) + LATE + 1)


async def proven_access_token(app: Identity, signed: Signed) -> AccessToken:
    """The access token a request was signed with."""
    consumer = await consumer_of(app, signed)
    async with app.db.read() as reader:
        token = await oauth.find_access_token(reader, signed.fields.get("oauth_token", ""))
    if token is None:
        raise Unauthorized()
    await must_be_signed_by(app, signed, consumer, token)
    return token
