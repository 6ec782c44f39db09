"""Reads a directory over LDAP; everything here blocks and belongs into a thread."""

from __future__ import annotations

import contextlib
import math
import random
import ssl
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from pileus.identity.directory.options import LdapOptions, words
from pileus.kit.numbers import digits

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)          # of its ASN.1 library's old names
    import ldap3
    from ldap3.core import exceptions as ldap_errors
    from ldap3.utils.conv import escape_filter_chars
    from ldap3.utils.dn import escape_rdn, safe_dn

_SCOPES = {"one": ldap3.LEVEL, "sub": ldap3.SUBTREE}
_ALIASES = {"never": ldap3.DEREF_NEVER, "searching": ldap3.DEREF_SEARCH, "finding": ldap3.DEREF_BASE,
            "always": ldap3.DEREF_ALWAYS, "default": ldap3.DEREF_NEVER}
_CHECKS = {"demand": ssl.CERT_REQUIRED, "allow": ssl.CERT_OPTIONAL, "never": ssl.CERT_NONE}
_NO_ANSWER = (ldap_errors.LDAPCommunicationError, ldap_errors.LDAPStartTLSError, ldap_errors.LDAPInvalidServerError,
              ldap_errors.LDAPSSLConfigurationError, ldap_errors.LDAPInvalidPortError, OSError)
NO_PASSWORD = ldap_errors.LDAPSASLPrepError                      # of characters that no password has, by RFC 4013
_IN_CHAIN = ":1.2.840.113556.1.4.1941:"                          # members of members, on Active Directory
Found = tuple[str, dict[str, list[str]]]                         # a name, and values by attribute in small letters
SINGLE_LOOKUPS = 100                                             # members looked up one by one, not among all users


class DirectoryFailed(Exception):
    """A directory does not do what its options promise; the text is for its operator."""


class Person(msgspec.Struct, frozen=True, kw_only=True):
    dn: str
    local_id: str
    name: str
    enabled: bool
    default_project_id: str | None = None
    extra: dict[str, Any] = {}


class Team(msgspec.Struct, frozen=True, kw_only=True):
    dn: str
    local_id: str
    name: str
    description: str = ""
    extra: dict[str, Any] = {}
    members: list[str] = []


class Ldap:
    def __init__(self, options: LdapOptions):
        self.options = options

    # -- asking -----------------------------------------------------------------------------

    def people(self, *, local_id: str | None = None, name: str | None = None) -> list[Person]:
        """All users, or those of an id or a name."""
        o = self.options
        with self.connected(o.user, o.password) as connection:
            chosen = _equal((o.user_id_attribute, local_id), (o.user_name_attribute, name))
            wanted = _both(f"(objectClass={o.user_objectclass})", o.user_filter, *chosen)
            found = self._search(connection, o.users_dn, wanted, self._user_attributes())
            enabled = self._enabled_dns(connection) if o.user_enabled_emulation else None
        return [person for dn, attributes in found if (person := self._person(dn, attributes, enabled))]

    def teams(self, *, local_id: str | None = None, name: str | None = None, of: Person | None = None) -> list[Team]:
        """All groups, or those of an id or a name, or those that somebody is in."""
        o = self.options
        with self.connected(o.user, o.password) as connection:
            chosen = _equal((o.group_id_attribute, local_id), (o.group_name_attribute, name))
            if of is not None:
                nested = _IN_CHAIN if o.group_ad_nesting else ""
                member = of.local_id if o.group_members_are_ids else of.dn
                chosen.append(f"({o.group_member_attribute}{nested}={escape_filter_chars(member)})")
            wanted = _both(f"(objectClass={o.group_objectclass})", o.group_filter, *chosen)
            attributes = [o.group_id_attribute, o.group_name_attribute, o.group_desc_attribute,
                          *mapped(o.group_additional_attribute_mapping), *([] if of else [o.group_member_attribute])]
            found = self._search(connection, o.groups_dn, wanted, attributes)
        return [team for dn, attributes in found if (team := self._team(dn, attributes))]

    def members(self, team: Team) -> list[Person]:
        """Users of a group; what else is in it does not count."""
        if self.options.group_members_are_ids and len(team.members) <= SINGLE_LOOKUPS:
            return [person for member in team.members for person in self.people(local_id=member)]
        wanted = set(team.members) if self.options.group_members_are_ids else {plain(dn) for dn in team.members}
        by_id = self.options.group_members_are_ids
        return [person for person in self.people() if (person.local_id if by_id else plain(person.dn)) in wanted]

    def proves(self, person: Person | None, password: str) -> bool:
        """Whether the directory takes this password. Nobody's is refused as slowly as a wrong one is, and an empty
        one never proves anything: servers take it for an anonymous visitor's."""
        dn = person.dn if person else self.options.users_dn
        if not password:
            return False
        try:
            with self.connected(dn, password):
                return person is not None
        except (ldap_errors.LDAPInvalidCredentialsResult, ldap_errors.LDAPInvalidDNSyntaxResult,
                ldap_errors.LDAPNoSuchObjectResult, ldap_errors.LDAPUnwillingToPerformResult,
                ldap_errors.LDAPInappropriateAuthenticationResult, NO_PASSWORD):
            return False

    # -- connections ------------------------------------------------------------------------

    @contextlib.contextmanager
    def connected(self, user: str | None, password: str | None, *, writes: bool = False) -> Iterator[Any]:
        """Bound as `user`, at the first server that answers."""
        connection = self._open(user, password, writes)
        try:
            yield connection
        except NO_PASSWORD:
            raise
        except ldap_errors.LDAPExceptionError as error:
            raise DirectoryFailed(f"{self.options.url}: {error}") from error
        finally:
            with contextlib.suppress(ldap_errors.LDAPExceptionError, OSError):
                connection.unbind()

    def _open(self, user: str | None, password: str | None, writes: bool) -> Any:
        urls = self.options.urls
        if self.options.randomize_urls:
            urls = random.sample(urls, len(urls))
        failure: Exception | None = None
        for url in urls:
            try:
                connection = ldap3.Connection(
                    self._server(url), user=user, password=password, raise_exceptions=True, read_only=not writes,
                    receive_timeout=math.ceil(self.options.seconds), auto_referrals=bool(self.options.chase_referrals))
                connection.open(read_server_info=False)
                if self.options.use_tls:
                    connection.start_tls(read_server_info=False)
                connection.bind(read_server_info=False)
                return connection
            except _NO_ANSWER as error:
                failure = error
            except ldap_errors.LDAPOperationResult as error:
                if user == self.options.user:
                    raise DirectoryFailed(f"{url} refuses the user of the options: {error}") from error
                raise
        raise DirectoryFailed(f"{self.options.url} does not answer: {failure}")

    def _server(self, url: str) -> Any:
        o = self.options
        tls = None
        if o.use_tls or url.startswith("ldaps://"):
            try:
                tls = ldap3.Tls(validate=_CHECKS[o.tls_req_cert], ca_certs_file=o.tls_cacertfile,
                                ca_certs_path=o.tls_cacertdir)
            except ldap_errors.LDAPSSLConfigurationError as error:
                raise DirectoryFailed(f"{url}: {error}") from error
        return ldap3.Server(url, get_info=ldap3.NONE, connect_timeout=o.seconds, tls=tls)

    def _search(self, connection: Any, base: str, wanted: str, attributes: list[str]) -> list[Found]:
        o = self.options
        asked: dict[str, Any] = {
            "search_base": base, "search_filter": wanted, "search_scope": _SCOPES[o.query_scope],
            "dereference_aliases": _ALIASES[o.alias_dereferencing], "attributes": [a for a in attributes if a]}
        try:
            if o.page_size > 0:
                found: Iterable[Any] = connection.extend.standard.paged_search(
                    **asked, paged_size=o.page_size, generator=False)
            else:
                connection.search(**asked)
                found = connection.response
        except ldap_errors.LDAPNoSuchObjectResult:
            return []
        return [(entry["dn"], _texts(entry["raw_attributes"])) for entry in found
                if entry.get("type") == "searchResEntry"]

    # -- understanding ----------------------------------------------------------------------

    def _user_attributes(self) -> list[str]:
        o = self.options
        enabled = [] if o.user_enabled_emulation else [o.user_enabled_attribute]
        return [o.user_id_attribute, o.user_name_attribute, o.user_description_attribute, o.user_mail_attribute,
                o.user_default_project_id_attribute or "", *enabled, *mapped(o.user_additional_attribute_mapping)]

    def _person(self, dn: str, found: dict[str, list[str]], enabled_dns: set[str] | None) -> Person | None:
        o = self.options
        local_id, name = _first(found, o.user_id_attribute), _first(found, o.user_name_attribute)
        if not local_id or not name:
            return None
        ignored = set(words(o.user_attribute_ignore))
        named = {"email": o.user_mail_attribute, "description": o.user_description_attribute} \
            | {ours: theirs for theirs, ours in mapped(o.user_additional_attribute_mapping).items()}
        extra = {ours: value for ours, theirs in named.items()
                 if ours not in ignored and (value := _first(found, theirs)) is not None}
        project = None if "default_project_id" in ignored else _first(found, o.user_default_project_id_attribute)
        enabled = self._is_enabled(found) if enabled_dns is None else plain(dn) in enabled_dns
        return Person(dn=dn, local_id=local_id, name=name, enabled=enabled, extra=extra, default_project_id=project)

    def _is_enabled(self, found: dict[str, list[str]]) -> bool:
        o = self.options
        value = _first(found, o.user_enabled_attribute)
        if o.user_enabled_mask:
            text = value if value is not None else o.user_enabled_default
            return (digits(text) or 0) & o.user_enabled_mask != o.user_enabled_mask
        if o.user_enabled_attribute.lower() == "pwdaccountlockedtime":
            return value is None
        true = (o.user_enabled_default if value is None else value).lower() == "true"
        return not true if o.user_enabled_invert else true

    def _enabled_dns(self, connection: Any) -> set[str]:
        """Members of the group that stands for being enabled, in plain form."""
        o = self.options
        own = o.user_enabled_emulation_use_group_config
        base = o.user_enabled_emulation_dn or f"cn=enabled_users,{o.users_dn}"
        member = o.group_member_attribute if own else "member"
        try:
            connection.search(base, "(objectClass=*)", search_scope=ldap3.BASE, attributes=[member])
        except ldap_errors.LDAPNoSuchObjectResult:
            return set()
        return {plain(dn) for entry in connection.response if entry.get("type") == "searchResEntry"
                for dn in _texts(entry["raw_attributes"]).get(member.lower(), [])}

    def _team(self, dn: str, found: dict[str, list[str]]) -> Team | None:
        o = self.options
        local_id, name = _first(found, o.group_id_attribute), _first(found, o.group_name_attribute)
        if not local_id or not name:
            return None
        ignored = set(words(o.group_attribute_ignore))
        extra = {ours: value for theirs, ours in mapped(o.group_additional_attribute_mapping).items()
                 if ours not in ignored and (value := _first(found, theirs)) is not None}
        description = "" if "description" in ignored else _first(found, o.group_desc_attribute) or ""
        return Team(dn=dn, local_id=local_id, name=name, description=description, extra=extra,
                    members=found.get(o.group_member_attribute.lower(), []))


def _texts(raw: Any) -> dict[str, list[str]]:
    return {name.lower(): [value.decode(errors="replace") for value in values] for name, values in raw.items()}


def _first(found: dict[str, list[str]], attribute: str | None) -> str | None:
    values = found.get(attribute.lower(), []) if attribute else []
    return values[0] if values else None


def _equal(*wanted: tuple[str, str | None]) -> list[str]:
    return [f"({attribute}={escape_filter_chars(value)})" for attribute, value in wanted if value is not None]


def _both(*filters: str | None) -> str:
    """Filters that must all hold; an operator's may lack its brackets."""
    given = [text if text.startswith("(") else f"({text})" for text in filters if text]
    return f"(&{''.join(given)})"


def mapped(pairs: list[str] | str) -> dict[str, str]:
    """`theirs:ours` as operators write it."""
    found = (pair.partition(":") for pair in words(pairs))
    return {theirs: ours for theirs, _, ours in found if ours}


def under(attribute: str, value: str, base: str) -> str:
    """The name of an entry."""
    return f"{attribute}={escape_rdn(value)},{base}"


def plain(dn: str) -> str:
    """Names of one thing are written in many ways."""
    try:
        return safe_dn(dn).lower()
    except ldap_errors.LDAPInvalidDnError:
        return dn.lower()
