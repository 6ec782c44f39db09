"""Who shows a certificate of TLS: their user, by a mapping of the names in it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec
from cryptography import x509
from cryptography.x509.oid import NameOID

from pileus.identity import tokens
from pileus.identity.authentication import DomainRef, ProjectRef, ScopeRef, Shown, scope_of
from pileus.identity.contexts import Context
from pileus.identity.faults import InvalidBody, Missing, Refused
from pileus.identity.federation import mapping, people
from pileus.identity.federation.mapping import Assertion, BadRules, LocalUser, MappingFailed
from pileus.identity.model import federation, projects, users
from pileus.identity.model.users import User
from pileus.identity.tokens import Token
from pileus.kit.caller import Caller
from pileus.kit.certificates import thumbprint
from pileus.kit.faults import Unauthorized

if TYPE_CHECKING:
    from pileus.identity.runtime import Identity

_NAMES = {NameOID.COMMON_NAME: "CN", NameOID.ORGANIZATION_NAME: "O", NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
          NameOID.COUNTRY_NAME: "C", NameOID.STATE_OR_PROVINCE_NAME: "ST", NameOID.LOCALITY_NAME: "L",
          NameOID.EMAIL_ADDRESS: "EMAILADDRESS", NameOID.USER_ID: "UID", NameOID.DOMAIN_COMPONENT: "DC"}


def facts_of(der: bytes) -> Assertion:
    """As mappings know them: SSL_CLIENT_SUBJECT_DN_CN and so on, and by the shorter names of web servers' modules."""
    certificate = x509.load_der_x509_certificate(der)
    found: dict[str, list[str]] = {}
    for side, name in (("SUBJECT", certificate.subject), ("ISSUER", certificate.issuer)):
        for part in name:
            if part.oid in _NAMES:
                value = part.value.decode(errors="replace") if isinstance(part.value, bytes) else part.value
                found.setdefault(f"SSL_CLIENT_{side}_DN_{_NAMES[part.oid]}", []).append(value)
    told = {name: ";".join(values) for name, values in found.items()}
    told |= {name.replace("SUBJECT_", "S_").replace("ISSUER_", "I_"): value for name, value in told.items()}
    return told | {"SSL_CLIENT_S_DN": certificate.subject.rfc4514_string(),
                   "SSL_CLIENT_I_DN": certificate.issuer.rfc4514_string()}


async def log_in(app: Identity, client_id: str, der: bytes) -> tuple[str, Context]:
    """A token of the user `client_id` in their own project, good only together with the certificate. Raises
    Unauthorized unless the mapping says that the certificate is theirs."""
    position = app.feed.position
    async with app.db.read() as reader:
        user = await users.find(reader, client_id)
        domain = await projects.find(reader, user.domain_id) if user is not None else None
        try:
            rules = await federation.get_mapping(reader, app.federation.certificate_mapping)
            meant = mapping.apply(mapping.parsed(rules.rules), facts_of(der)).user
        except (Missing, BadRules, MappingFailed, ValueError) as error:
            raise Unauthorized() from error
    if user is None or domain is None or not user.default_project_id or not _is(user, domain.name, meant):
        raise Unauthorized()
    now = app.clock()
    token = Token(user_id=user.id, methods=("oauth2_credential",), issued_at=now, audit_ids=(tokens.new_audit_id(),),
                  scope=tokens.PROJECT, scope_id=user.default_project_id, thumbprint=thumbprint(der),
                  expires_at=float(int(now) + app.config.token_seconds))
    text = tokens.encode(app.keys, token)
    async with app.db.read() as reader:
        found = await app.contexts.build(reader, token, text)
    app.contexts.keep(text, found, position)
    return text, found


def _is(user: User, domain_name: str, meant: LocalUser) -> bool:
    """Everything that the mapping tells must be so."""
    domain = meant.domain or mapping.Domain()
    pairs = ((meant.id, user.id), (meant.name, user.name), (meant.email, user.extra.get("email")),
             (domain.id, user.domain_id), (domain.name, domain_name))
    return all(wanted is None or wanted == found for wanted, found in pairs)


async def caller_of(app: Identity, der: bytes | None, headers: Mapping[str, str]) -> Caller | None:
    """Who asks with a certificate of a trusted issuer instead of a token, in the project or domain that they name."""
    if der is None or not app.federation.trusted_issuers:
        return None
    facts = facts_of(der)
    issuer = facts["SSL_CLIENT_I_DN"]
    scope = _scope(headers)
    if issuer not in app.federation.trusted_issuers or scope is None:
        return None
    try:
        _, found = await people.log_in(app, hashlib.sha256(issuer.encode()).hexdigest(), "x509", facts,
                                       remote_id=issuer)
    except (Missing, Refused, InvalidBody) as error:
        raise Unauthorized() from error
    async with app.db.read() as reader:
        kind, id = await scope_of(reader, scope, Shown(), {})
        token = msgspec.structs.replace(found.token, scope=kind, scope_id=id)
        return (await app.contexts.build(reader, token)).caller


def _scope(headers: Mapping[str, str]) -> ScopeRef | None:
    told = {name: headers.get(f"x-{name}") for name in (
        "project-id", "project-name", "project-domain-id", "project-domain-name", "domain-id", "domain-name")}
    if told["project-id"] or told["project-name"]:
        domain = DomainRef(id=told["project-domain-id"], name=told["project-domain-name"])
        return ScopeRef(project=ProjectRef(id=told["project-id"], name=told["project-name"], domain=domain))
    if told["domain-id"] or told["domain-name"]:
        return ScopeRef(domain=DomainRef(id=told["domain-id"], name=told["domain-name"]))
    return None
