"""The [federation] section."""

from __future__ import annotations

from typing import Annotated

import msgspec

from pileus.kit.config import doc


class OidcConfig(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One OpenID Connect provider."""

    issuer: str
    client_id: str
    client_secret: str = ""
    scopes: tuple[str, ...] = ("openid", "email", "profile")
    audiences: list[str] = []            # of access tokens, beside client_id
    ca_file: str = ""


class FederationConfig(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    trusted_dashboards: Annotated[list[str], doc(
        "Addresses to which a browser may carry a token after single sign-on, such as\n"
        "https://dashboard.example.org/auth/websso/ of a dashboard.")] = []
    providers: Annotated[dict[str, OidcConfig], doc(
        "OpenID Connect providers by identity provider and protocol, as a table each:\n"
        '[federation.providers."IDP/PROTOCOL"] with issuer, client_id, client_secret, scopes, audiences and ca_file.\n'
        "Register the address .../identity/v3/auth/OS-FEDERATION/callback at the provider.")] = {}
