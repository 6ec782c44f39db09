"""The [proxy] section, and certificates by which clients proved to the proxy before us who they are."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import unquote_to_bytes

import msgspec
from cryptography import x509

from pileus.kit.config import doc

SCOPE = "client_certificate"           # its place among the facts of a request
LONGEST = 16_384
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*")


class ProxyConfig(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    client_certificate_header: Annotated[str, doc(
        "Header in which the proxy that ends TLS hands on the certificate that a client proved to have: as RFC 9440\n"
        "does (Client-Cert), or in PEM, percent-encoded. Empty: none. The proxy must take the header out of what\n"
        "clients send, and whoever else can speak to us from its address is believed as well.")] = ""
    trusted_proxies: Annotated[tuple[str, ...], doc(
        "Addresses from which the header is believed.")] = ("127.0.0.1",)


class ClientCertificates:
    def __init__(self, config: ProxyConfig):
        self.header = config.client_certificate_header.lower().encode()
        self.trusted = set(config.trusted_proxies)

    def of(self, scope: Mapping[str, Any]) -> bytes | None:
        """In DER; None if there is none, or none that can be believed."""
        if not self.header or (scope.get("client") or ("",))[0] not in self.trusted:
            return None
        found = [value for name, value in scope.get("headers", ()) if name == self.header]
        return _der(found[0]) if len(found) == 1 else None


def _der(text: bytes) -> bytes | None:
    if len(text) > LONGEST:
        return None
    text = text.strip()
    if text[:1] == text[-1:] == b":":
        inner: bytes = text[1:-1]
    elif (pem := _PEM.fullmatch(unquote_to_bytes(text))) is not None:
        inner = b"".join(pem[1].split())
    else:
        return None
    try:
        found = base64.b64decode(inner, validate=True)
        x509.load_der_x509_certificate(found)
    except (binascii.Error, ValueError):
        return None
    return found


def thumbprint(der: bytes) -> str:
    """As tokens bound to a certificate name it (x5t#S256)."""
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).decode().rstrip("=")
