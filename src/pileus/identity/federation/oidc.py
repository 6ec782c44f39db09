"""Speaks OpenID Connect with identity providers: who a browser or a bearer token stands for, by the provider's keys."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
from typing import Any
from urllib.parse import urlencode

import httpx
import msgspec
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from pileus.identity.federation.settings import FederationConfig, OidcConfig
from pileus.kit.client import trust
from pileus.kit.clock import Clock
from pileus.kit.faults import Unauthorized, Unavailable

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
SECONDS = 10.0
FRESH = 600.0                          # how long a provider's description and keys are believed
RETRY = 5.0                            # how soon keys are asked for again because one is unknown
LEEWAY = 60.0                          # how far clocks may differ
MOST_BYTES = 1 << 20
Claims = dict[str, Any]


class OidcProviders:
    def __init__(self, config: FederationConfig, clock: Clock):
        self._known = {name: OidcProvider(settings, clock) for name, settings in config.providers.items()}

    def find(self, idp_id: str, protocol_id: str) -> OidcProvider | None:
        return self._known.get(f"{idp_id}/{protocol_id}")

    def of_protocol(self, protocol_id: str) -> list[str]:
        """Ids of the identity providers that have it."""
        return [name.rpartition("/")[0] for name in self._known if name.rpartition("/")[2] == protocol_id]


class OidcProvider:
    def __init__(self, settings: OidcConfig, clock: Clock):
        self.settings, self.clock = settings, clock
        self._described: tuple[float, Claims] | None = None
        self._keys: tuple[float, KeySet] | None = None
        self._turn = asyncio.Lock()

    # -- browsers ---------------------------------------------------------------------------

    async def authorization_url(self, redirect_uri: str, state: str, nonce: str, verifier: str) -> str:
        """Where to send a browser that somebody is to log in with."""
        endpoint = (await self._description())["authorization_endpoint"]
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        query = {"response_type": "code", "client_id": self.settings.client_id, "redirect_uri": redirect_uri,
                 "scope": " ".join(self.settings.scopes), "state": state, "nonce": nonce,
                 "code_challenge": challenge, "code_challenge_method": "S256"}
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    async def exchange(self, code: str, redirect_uri: str, nonce: str, verifier: str) -> Claims:
        """What the provider says of whoever brought `code` back."""
        answer = await self._post((await self._description())["token_endpoint"], {
            "grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri, "code_verifier": verifier})
        claims = await self._verified(str(answer.get("id_token", "")), {self.settings.client_id})
        if claims.get("nonce") != nonce or claims.get("azp", self.settings.client_id) != self.settings.client_id:
            raise Unauthorized()
        return claims | await self._user_info(str(answer.get("access_token", "")), str(claims.get("sub", "")))

    # -- bearer tokens ----------------------------------------------------------------------

    async def claims_of(self, token: str) -> Claims:
        """Of an access token or an ID token that a program brings; one made for somebody else's use does not count."""
        audiences = {self.settings.client_id, *self.settings.audiences}
        if token.count(".") == 2:
            claims = await self._verified(token, audiences)
            return claims | ({} if "nonce" in claims else await self._user_info(token, str(claims.get("sub", "")),
                                                                               needed=False))
        endpoint = (await self._description()).get("introspection_endpoint")
        if endpoint is None:
            raise Unauthorized()
        claims = await self._post(endpoint, {"token": token, "token_type_hint": "access_token"})
        if claims.get("active") is not True or not self._is_meant(claims, audiences):
            raise Unauthorized()
        if claims.get("iss", self.settings.issuer) != self.settings.issuer:
            raise Unauthorized()
        return claims | {"iss": self.settings.issuer} | await self._user_info(
            token, str(claims.get("sub", "")), needed=False)

    async def _verified(self, token: str, audiences: set[str]) -> Claims:
        try:
            decoded = await self._decoded(token)
        except (JoseError, ValueError, TypeError) as error:
            raise Unauthorized() from error
        claims, now = decoded.claims, self.clock()
        ends, begins = claims.get("exp"), claims.get("nbf", 0)
        if claims.get("iss") != self.settings.issuer or not self._is_meant(claims, audiences):
            raise Unauthorized()
        if not isinstance(ends, int | float) or ends + LEEWAY <= now:
            raise Unauthorized()
        if not isinstance(begins, int | float) or begins - LEEWAY > now:
            raise Unauthorized()
        return claims

    async def _decoded(self, token: str) -> jwt.Token:
        """A key that nobody knows yet may be new."""
        header = jws.extract_compact(token.encode()).headers()
        keys = await self._key_set()
        known = {key.kid for key in keys.keys}
        if "kid" in header and header["kid"] not in known:
            keys = await self._key_set(older_than=RETRY)
        return jwt.decode(token, keys, algorithms=ALGORITHMS)

    @staticmethod
    def _is_meant(claims: Claims, audiences: set[str]) -> bool:
        named = claims.get("aud")
        meant = {named} if isinstance(named, str) else set(named) if isinstance(named, list) else set()
        return bool(audiences & (meant or {claims.get("client_id"), claims.get("azp")}))

    async def _user_info(self, access_token: str, subject: str, *, needed: bool = True) -> Claims:
        """What else the provider says; it must be of the same person. Tokens of programs have nobody to tell of."""
        endpoint = (await self._description()).get("userinfo_endpoint")
        if not endpoint or not access_token:
            return {}
        answer = await self._request("GET", endpoint, headers={"authorization": f"Bearer {access_token}"})
        if answer.status_code >= 400 and not needed:
            return {}
        claims = _object(answer)
        if claims.get("sub") != subject:
            raise Unauthorized()
        return claims

    # -- the provider -----------------------------------------------------------------------

    async def _description(self) -> Claims:
        async with self._turn:
            if self._described is None or self._described[0] + FRESH < self.clock():
                url = f"{self.settings.issuer.rstrip('/')}/.well-known/openid-configuration"
                found = _object(await self._request("GET", url))
                if found.get("issuer") != self.settings.issuer:
                    raise Unavailable(reason="The identity provider does not call itself what it is called here.")
                self._described = (self.clock(), found)
            return self._described[1]

    async def _key_set(self, older_than: float = FRESH) -> KeySet:
        endpoint = (await self._description())["jwks_uri"]
        async with self._turn:
            if self._keys is None or self._keys[0] + older_than < self.clock():
                found = _object(await self._request("GET", endpoint))
                self._keys = (self.clock(), KeySet.import_key_set(_signing(found)))       # type: ignore[arg-type]
            return self._keys[1]

    async def _post(self, endpoint: str, form: dict[str, str]) -> Claims:
        """As the client that we are at the provider."""
        given = self.settings
        if given.client_secret:
            answer = await self._request("POST", endpoint, data=form, auth=(given.client_id, given.client_secret))
        else:
            answer = await self._request("POST", endpoint, data=form | {"client_id": given.client_id})
        if 400 <= answer.status_code < 500:
            raise Unauthorized()
        return _object(answer)

    async def _request(self, method: str, url: str, **more: Any) -> httpx.Response:
        own = self.settings.ca_file
        vouching = ssl.create_default_context(cafile=own) if own else trust()
        try:
            async with httpx.AsyncClient(timeout=SECONDS, verify=vouching, trust_env=False) as client:
                return await client.request(method, url, **more)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise Unavailable(reason="The identity provider does not answer; try again.") from error


def _signing(found: Claims) -> Claims:
    keys = found.get("keys")
    chosen = [key for key in keys if isinstance(key, dict) and key.get("use", "sig") == "sig"
              and key.get("kty") in ("RSA", "EC", "OKP")] if isinstance(keys, list) else []
    if not chosen:
        raise Unavailable(reason="The identity provider has no keys.")
    return {"keys": chosen}


def _object(answer: httpx.Response) -> Claims:
    if answer.status_code in (401, 403):
        raise Unauthorized()
    try:
        if answer.status_code >= 400 or len(answer.content) > MOST_BYTES:
            raise Unavailable(reason=f"The identity provider answers {answer.status_code}.")
        return msgspec.json.decode(answer.content, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise Unavailable(reason="The identity provider does not answer in JSON.") from error


def assertion_of(claims: Claims) -> dict[str, str]:
    """Claims as mappings know them: by the names that a web server's OpenID Connect module gives them, and as variables
    of its environment."""
    found: dict[str, str] = {}
    for name, value in claims.items():
        parts = value if isinstance(value, list) else [value]
        text = ";".join(part if isinstance(part, str) else msgspec.json.encode(part).decode() for part in parts)
        text = text.encode(errors="replace").decode()
        found[f"OIDC-{name}"] = text
        found[f"HTTP_OIDC_{name.upper().replace('-', '_')}"] = text
    found["REMOTE_USER"] = found.get("OIDC-sub", "")
    return found
