"""The [federation] section."""

from __future__ import annotations

from pathlib import Path
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


class SamlConfig(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """One SAML identity provider."""

    metadata: Path
    idp_entity_id: str = ""              # needed where the metadata describes several
    entity_id: str = ""                  # what we are called there, instead of the address of our metadata
    unsolicited: bool = False            # whether it may send people whom we did not send there, as clouds do
    sign_requests: bool = False
    shibboleth: bool = False             # whether it knows us by /Shibboleth.sso/SAML2/POST and .../ECP of the host


class FederationConfig(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    identity_url: Annotated[str, doc(
        "Address of identity as browsers and other clouds reach it, such as https://cloud.example.org/identity.\n"
        "SAML needs it, in both directions: what is signed is signed for one address.")] = ""
    trusted_dashboards: Annotated[list[str], doc(
        "Addresses to which a browser may carry a token after single sign-on, such as\n"
        "https://dashboard.example.org/auth/websso/ of a dashboard.")] = []
    providers: Annotated[dict[str, OidcConfig], doc(
        "OpenID Connect providers by identity provider and protocol, as a table each:\n"
        '[federation.providers."IDP/PROTOCOL"] with issuer, client_id, client_secret, scopes, audiences and ca_file.\n'
        "Register the address .../identity/v3/auth/OS-FEDERATION/callback at the provider.")] = {}
    saml: Annotated[dict[str, SamlConfig], doc(
        "SAML identity providers by identity provider and protocol, as a table each:\n"
        '[federation.saml."IDP/PROTOCOL"] with metadata (a file), idp_entity_id, entity_id, unsolicited,\n'
        "sign_requests and shibboleth. Our own metadata is at\n"
        ".../v3/OS-FEDERATION/identity_providers/IDP/protocols/PROTOCOL/auth/saml2.")] = {}
    assertion_seconds: Annotated[int, msgspec.Meta(ge=10, le=3600), doc(
        "How long other clouds may believe what this one says of its users.")] = 300
    certificate_mapping: Annotated[str, doc(
        "The mapping that says whose a client's certificate is, for OAuth 2.0 with certificates (see [proxy]).")
    ] = "oauth2_mapping"
    trusted_issuers: Annotated[list[str], doc(
        "Names of issuers (as in RFC 4514) whose certificates stand for their users without any token, in requests to\n"
        "identity. Each is an identity provider whose id is the name's SHA-256, with a protocol x509.")] = []
