"""Signatures of requests as Amazon's APIs define them, versions 0 to 4: what a secret makes of a request."""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from urllib.parse import quote

import msgspec

V4 = "AWS4-HMAC-SHA256"
STAMP = "%Y%m%dT%H%M%SZ"


class Unsigned(Exception):
    """Nothing says how this was signed, or it cannot have been signed so."""


class Signed(msgspec.Struct, kw_only=True):
    """A request to one of Amazon's APIs, as the server that got it describes it."""

    access: str
    signature: str = ""
    verb: str = "GET"
    host: str = ""
    path: str = "/"
    params: dict[str, str] = {}
    headers: dict[str, str] = {}
    body_hash: str = ""

    def _header(self, name: str) -> str | None:
        return next((value for key, value in self.headers.items() if key.lower() == name.lower()), None)

    @property
    def is_v4(self) -> bool:
        return (self._header("authorization") or "").startswith(V4) or self.params.get("X-Amz-Algorithm") == V4

    def _said(self, name: str) -> str:
        """A part of version 4's authorization, which is a header or spread over the query."""
        text = self._header("authorization")
        found = self.params.get(f"X-Amz-{name}", "") if text is None else text.partition(f"{name}=")[2].split(",")[0]
        if not found:
            raise Unsigned(f"{name} is missing")
        return found.strip()

    @property
    def date(self) -> str | None:
        return self._header("x-amz-date") or self.params.get("X-Amz-Date")

    def signed_at(self) -> float | None:
        """When, if it says so. Raises Unsigned for a time that is none."""
        text = self.date or self.params.get("Timestamp")
        if text is None:
            return None
        try:
            when = datetime.strptime(text, STAMP) if "-" not in text else datetime.fromisoformat(text)
        except ValueError as error:
            raise Unsigned("the time is unreadable") from error
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()

    def signatures(self, secret: str) -> list[str]:
        """Those that are right. More than one, since some clients sign the port with the host and others do not."""
        if self.is_v4:
            return [self._v4(secret)]
        key, params = secret.encode(), {k: v for k, v in self.params.items() if k != "Signature"}
        version = params.get("SignatureVersion")
        if version == "0":
            return [_base64(_hmac(key, params.get("Action", "") + params.get("Timestamp", ""), "sha1"))]
        if version == "1":
            text = "".join(name + params[name] for name in sorted(params, key=str.lower))
            return [_base64(_hmac(key, text, "sha1"))]
        if version != "2":
            raise Unsigned("the version of the signature is unknown")
        kind = "sha1" if params.get("SignatureMethod") == "HmacSHA1" else "sha256"
        hosts = dict.fromkeys((self.host, self.host.partition(":")[0]))
        return [_base64(_hmac(key, "\n".join((self.verb, host, self.path, _query(params))), kind)) for host in hosts]

    def _v4(self, secret: str) -> str:
        scope, date = self._said("Credential").split("/")[1:], self.date or ""
        if len(scope) != 4 or not date.startswith(scope[0]):
            raise Unsigned("the credential's scope does not fit the request")
        named = self._said("SignedHeaders")
        lower = {key.lower().strip(): value.strip() for key, value in self.headers.items()}
        headers = "".join(f"{name}:{lower[name]}\n" for name in named.split(";") if name in lower)
        params = {key: value for key, value in self.params.items() if key != "X-Amz-Signature"}
        query = "" if self.verb.upper() == "POST" else _query(params)
        request = "\n".join((self.verb.upper(), self.path, query, headers, named, self.body_hash))
        digest = hashlib.sha256(request.encode()).hexdigest()
        return v4_signature(secret, "\n".join((V4, date, "/".join(scope), digest)))


def v4_signature(secret: str, text: str) -> str:
    """Of a string to sign, whose third line names day, region and service that the key is made for."""
    lines = text.split("\n")
    scope = lines[2].split("/") if len(lines) == 4 else []
    if lines[0] != V4 or len(scope) != 4:
        raise Unsigned("this is no string to sign of version 4")
    key = b"AWS4" + secret.encode()
    for part in scope:
        key = _hmac(key, part, "sha256")
    return _hmac(key, text, "sha256").hex()


def s3_signature(secret: str, text: str) -> str:
    """Of what an S3 client signed."""
    return v4_signature(secret, text) if text.startswith(V4) else _base64(_hmac(secret.encode(), text, "sha1"))


def same(found: str, right: list[str]) -> bool:
    """In a time that tells nothing."""
    return any([hmac.compare_digest(found.encode(), each.encode()) for each in right])


def _query(params: dict[str, str]) -> str:
    return "&".join(f"{quote(name, safe='-_.~')}={quote(params[name], safe='-_.~')}" for name in sorted(params))


def _hmac(key: bytes, text: str, kind: str) -> bytes:
    return hmac.digest(key, text.encode(), kind)


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
