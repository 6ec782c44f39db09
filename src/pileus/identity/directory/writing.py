"""Writes users, groups and who is in them to a directory over LDAP; all of it blocks and belongs into a thread."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from pileus.identity.directory.ldap import NO_PASSWORD, Ldap, Person, Team, ldap3, ldap_errors, mapped, under
from pileus.identity.directory.options import LdapOptions, words
from pileus.kit.numbers import digits

_PEOPLE = ("person", "organizationalperson", "inetorgperson")       # classes whose entries have to have cn and sn
_TRY_AGAIN = (ldap_errors.LDAPBusyResult, ldap_errors.LDAPUnavailableResult)
LOCKED = "000001010000Z"                                         # what pwdAccountLockedTime says of who never logs in
Values = Mapping[str, Any]                                       # by the names of the Identity API


class NotTaken(Exception):
    """The directory, or what its options say of it, has no place for this; the text is for who asked."""


class AlreadyThere(Exception):
    """Somebody else has the name or the id."""


class Writing:
    def __init__(self, ldap: Ldap):
        self.ldap, self.options = ldap, ldap.options

    # -- users ------------------------------------------------------------------------------

    def add_person(self, values: Values, password: str | None) -> Person:
        """A new one. Where the directory knows people by their names, the name is the id, else that is drawn."""
        o, name = self.options, str(values["name"])
        if self.ldap.people(name=name):
            raise AlreadyThere
        local_id = name if _same(o.user_id_attribute, o.user_name_attribute) else uuid.uuid4().hex
        dn = under(o.user_id_attribute, local_id, o.users_dn)
        attributes = {o.user_id_attribute: [local_id], **_spelled(_user_places(o), values)}
        if o.user_objectclass.lower() in _PEOPLE:
            have = {attribute.lower() for attribute in attributes}
            attributes |= {attribute: [name] for attribute in ("cn", "sn") if attribute not in have}
        if not o.user_enabled_emulation:
            attributes |= _enabled(o, None, values.get("enabled", True))
        with self._connected() as connection:
            connection.add(dn, o.user_objectclass, {key: found for key, found in attributes.items() if found})
            try:
                self._set_password(connection, dn, password)
                self._emulate(connection, dn, values.get("enabled", True))
            except BaseException:
                connection.delete(dn)
                raise
        return self._person(local_id)

    def change_person(self, person: Person, values: Values, password: str | None) -> Person:
        o = self.options
        if values.get("name", person.name) != person.name and _same(o.user_id_attribute, o.user_name_attribute):
            raise NotTaken("The directory knows its users by their names, which stay.")
        changes = _spelled(_user_places(o), values)
        with self._connected() as connection:
            if "enabled" in values and not o.user_enabled_emulation:
                changes |= _enabled(o, self._now(connection, person.dn), values["enabled"])
            _replace(connection, person.dn, changes)
            if "enabled" in values:
                self._emulate(connection, person.dn, values["enabled"])
            self._set_password(connection, person.dn, password)
        return self._person(person.local_id)

    def remove_person(self, person: Person) -> None:
        """Also from the groups they are in. A group of theirs alone that has to have a member keeps the name of
        nobody."""
        teams = self.ldap.teams(of=person)
        with self._connected() as connection:
            self._emulate(connection, person.dn, enabled=False)
            connection.delete(person.dn)
            for team in teams:
                with contextlib.suppress(ldap_errors.LDAPObjectClassViolationResult):
                    self._drop(connection, team, person)

    def _person(self, local_id: str) -> Person:
        found = self.ldap.people(local_id=local_id)
        if len(found) != 1:
            raise NotTaken("The directory has it now, but its filters leave it out.")
        return found[0]

    def _set_password(self, connection: Any, dn: str, password: str | None) -> None:
        """By the operation for it (RFC 3062), by which the server hashes it; of servers without, as an attribute."""
        if password is None:
            return
        try:
            connection.extend.standard.modify_password(dn, new_password=password)
        except (ldap_errors.LDAPProtocolErrorResult, ldap_errors.LDAPUnwillingToPerformResult):
            _replace(connection, dn, {self.options.user_pass_attribute: [password]})

    def _now(self, connection: Any, dn: str) -> str | None:
        """What is written there of being enabled."""
        attribute = self.options.user_enabled_attribute
        connection.search(dn, "(objectClass=*)", search_scope=ldap3.BASE, attributes=[attribute])
        raw = {name.lower(): found for entry in connection.response
               for name, found in entry.get("raw_attributes", {}).items()}
        found = raw.get(attribute.lower(), [])
        return found[0].decode(errors="replace") if found else None

    def _emulate(self, connection: Any, dn: str, enabled: bool) -> None:
        """Where being in a group stands for being enabled."""
        o = self.options
        if not o.user_enabled_emulation:
            return
        group = o.user_enabled_emulation_dn or f"cn=enabled_users,{o.users_dn}"
        own = o.user_enabled_emulation_use_group_config
        member, kind = (o.group_member_attribute, o.group_objectclass) if own else ("member", "groupOfNames")
        try:
            if enabled:
                connection.modify(group, {member: [(ldap3.MODIFY_ADD, [dn])]})
            else:
                connection.modify(group, {member: [(ldap3.MODIFY_DELETE, [dn])]})
        except (ldap_errors.LDAPAttributeOrValueExistsResult, ldap_errors.LDAPNoSuchAttributeResult):
            return                                               # as it was to be
        except ldap_errors.LDAPNoSuchObjectResult:
            if enabled:
                connection.add(group, kind, {member: [dn]})
        except ldap_errors.LDAPObjectClassViolationResult:       # the last member of a group that has to have one
            connection.delete(group)

    # -- groups -----------------------------------------------------------------------------

    def add_team(self, values: Values) -> Team:
        o, name = self.options, str(values["name"])
        if self.ldap.teams(name=name):
            raise AlreadyThere
        local_id = name if _same(o.group_id_attribute, o.group_name_attribute) else uuid.uuid4().hex
        attributes = {o.group_id_attribute: [local_id], **_spelled(_group_places(o), values)}
        if o.use_dumb_member:
            attributes[o.group_member_attribute] = [o.dumb_member]
        with self._connected() as connection:
            connection.add(under(o.group_id_attribute, local_id, o.groups_dn), o.group_objectclass,
                           {key: found for key, found in attributes.items() if found})
        return self._team(local_id)

    def change_team(self, team: Team, values: Values) -> Team:
        o = self.options
        if values.get("name", team.name) != team.name and _same(o.group_id_attribute, o.group_name_attribute):
            raise NotTaken("The directory knows its groups by their names, which stay.")
        with self._connected() as connection:
            _replace(connection, team.dn, _spelled(_group_places(o), values))
        return self._team(team.local_id)

    def remove_team(self, team: Team) -> None:
        with self._connected() as connection:
            connection.delete(team.dn)

    def join(self, team: Team, person: Person) -> None:
        """In it already: nothing."""
        member = self.options.group_member_attribute
        with self._connected() as connection, contextlib.suppress(ldap_errors.LDAPAttributeOrValueExistsResult):
            connection.modify(team.dn, {member: [(ldap3.MODIFY_ADD, [self._called(person)])]})

    def leave(self, team: Team, person: Person) -> None:
        """Not in it: nothing."""
        with self._connected() as connection:
            self._drop(connection, team, person)

    def _drop(self, connection: Any, team: Team, person: Person) -> None:
        member = self.options.group_member_attribute
        with contextlib.suppress(ldap_errors.LDAPNoSuchAttributeResult):
            connection.modify(team.dn, {member: [(ldap3.MODIFY_DELETE, [self._called(person)])]})

    def _called(self, person: Person) -> str:
        """As members of groups are."""
        return person.local_id if self.options.group_members_are_ids else person.dn

    def _team(self, local_id: str) -> Team:
        found = self.ldap.teams(local_id=local_id)
        if len(found) != 1:
            raise NotTaken("The directory has it now, but its filters leave it out.")
        return found[0]

    # -- the way there ----------------------------------------------------------------------

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Any]:
        """Raises NotTaken and AlreadyThere for what the server says no to."""
        with self.ldap.connected(self.options.user, self.options.password, writes=True) as connection:
            try:
                yield connection
            except _TRY_AGAIN:
                raise
            except NO_PASSWORD as error:
                raise NotTaken("The directory takes no password with such characters.") from error
            except ldap_errors.LDAPEntryAlreadyExistsResult as error:
                raise AlreadyThere from error
            except ldap_errors.LDAPOperationResult as error:
                said = f"{error.description}: {error.message}".removesuffix(": ")
                raise NotTaken(f"The directory does not take it, {said}.") from error


def _same(one: str, other: str) -> bool:
    return one.lower() == other.lower()


def _user_places(o: LdapOptions) -> dict[str, str]:
    """Our names -> attributes of the directory."""
    found = {"name": o.user_name_attribute, "email": o.user_mail_attribute,
             "description": o.user_description_attribute} \
        | {ours: theirs for theirs, ours in mapped(o.user_additional_attribute_mapping).items()}
    if o.user_default_project_id_attribute:
        found["default_project_id"] = o.user_default_project_id_attribute
    return {ours: theirs for ours, theirs in found.items() if ours not in words(o.user_attribute_ignore)}


def _group_places(o: LdapOptions) -> dict[str, str]:
    found = {"name": o.group_name_attribute, "description": o.group_desc_attribute} \
        | {ours: theirs for theirs, ours in mapped(o.group_additional_attribute_mapping).items()}
    return {ours: theirs for ours, theirs in found.items() if ours not in words(o.group_attribute_ignore)}


def _spelled(places: dict[str, str], values: Values) -> dict[str, list[str]]:
    """Attributes of the directory, those without a value empty. Raises NotTaken for what has no place there."""
    found: dict[str, list[str]] = {}
    for name, value in values.items():
        if name == "enabled":
            continue
        if name in places:
            found[places[name]] = [] if value in (None, "") else [str(value)]
        elif value not in (None, ""):
            raise NotTaken(f"The directory has no place for {name}.")
    return found


def _enabled(o: LdapOptions, now: str | None, enabled: bool) -> dict[str, list[str]]:
    """The attribute that says so, of an entry whose own is `now`."""
    if o.user_enabled_mask:
        text = now if now is not None else o.user_enabled_default
        number = digits(text) or 0
        return {o.user_enabled_attribute: [str(
            number & ~o.user_enabled_mask if enabled else number | o.user_enabled_mask)]}
    if o.user_enabled_attribute.lower() == "pwdaccountlockedtime":
        return {o.user_enabled_attribute: [] if enabled else [LOCKED]}
    return {o.user_enabled_attribute: ["TRUE" if enabled != o.user_enabled_invert else "FALSE"]}


def _replace(connection: Any, dn: str, changes: dict[str, list[str]]) -> None:
    if changes:
        connection.modify(dn, {name: [(ldap3.MODIFY_REPLACE, found)] for name, found in changes.items()})
