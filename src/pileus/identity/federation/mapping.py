"""What an identity provider's words about somebody mean here: pure, and bounded in time whatever they are.

A rule counts if all its `remote` parts are fulfilled; parts that ask for nothing in particular hand their values on to
`{0}`, `{1}`, … in the rule's `local` part. Patterns are those of RE2, which has no way to take exponential time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from pileus.kit.patterns import BadPattern, compiled

MOST_ATTRIBUTES, LONGEST_VALUE = 500, 16_384
_HOLE = re.compile(r"\{(\d{1,3})\}")
_CONDITIONS = ("any_one_of", "not_any_of", "blacklist", "whitelist")
Assertion = Mapping[str, str]
Values = list[list[str]]


class MappingFailed(Exception):
    """The rules do not say who this is; the text may be shown."""


class BadRules(Exception):
    """Not rules; the text says why."""


class _Part(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    pass


class Remote(_Part):
    type: Annotated[str, msgspec.Meta(min_length=1)]
    any_one_of: list[str] | None = None
    not_any_of: list[str] | None = None
    blacklist: list[str] | None = None
    whitelist: list[str] | None = None
    regex: bool = False


class Domain(_Part):
    id: str | None = None
    name: str | None = None


class LocalUser(_Part):
    id: str | None = None
    name: str | None = None
    email: str | None = None
    domain: Domain | None = None
    type: Literal["ephemeral", "local"] = "ephemeral"


class LocalGroup(_Part):
    id: str | None = None
    name: str | None = None
    domain: Domain | None = None


class RoleRef(_Part):
    name: str


class LocalProject(_Part):
    name: str
    roles: list[RoleRef]
    domain: Domain | None = None


class Local(_Part):
    user: LocalUser | None = None
    group: LocalGroup | None = None
    groups: str | None = None
    group_ids: str | None = None
    domain: Domain | None = None
    projects: list[LocalProject] | None = None


class Rule(_Part):
    local: list[Local]
    remote: Annotated[list[Remote], msgspec.Meta(min_length=1)]


class Mapped(msgspec.Struct, kw_only=True):
    """Whom the rules found."""

    user: LocalUser
    group_ids: list[str] = []
    groups: list[LocalGroup] = []
    projects: list[LocalProject] = []


def parsed(rules: list[Any]) -> list[Rule]:
    """Raises BadRules for what are none."""
    try:
        found = msgspec.convert(rules, Annotated[list[Rule], msgspec.Meta(min_length=1)])
    except msgspec.ValidationError as error:
        raise BadRules(str(error)) from None
    for rule in found:
        for remote in rule.remote:
            _must_make_sense(remote)
        for local in rule.local:
            if local.group is not None and local.group.id is None and not (local.group.name and local.group.domain):
                raise BadRules("a group is named by its id, or by its name and domain")
    return found


def _must_make_sense(remote: Remote) -> None:
    chosen = [name for name in _CONDITIONS if getattr(remote, name) is not None]
    if len(chosen) > 1:
        raise BadRules(f"a remote part has one of {' and '.join(chosen)}")
    if remote.regex:
        if not chosen:
            raise BadRules("regex needs values to be patterns")
        for pattern in getattr(remote, chosen[0]):
            _compiled(pattern)


def _compiled(pattern: str) -> Any:
    try:
        return compiled(pattern)
    except BadPattern as error:
        raise BadRules(str(error)) from None


def apply(rules: list[Rule], assertion: Assertion) -> Mapped:
    """Raises MappingFailed unless the rules find a user."""
    said = {name: value[:LONGEST_VALUE].split(";") for name, value in list(assertion.items())[:MOST_ATTRIBUTES]}
    users: list[LocalUser] = []
    found = Mapped(user=LocalUser())
    for rule in rules:
        values = _handed_on(rule, said)
        if values is not None:
            found.user.name = found.user.name or assertion.get("REMOTE_USER")
            for local in rule.local:
                _collect(local, values, users, found)
    found.user = users[0] if users else found.user
    if not (found.user.name or found.user.id):
        raise MappingFailed("The rules of the mapping do not say who this is.")
    found.group_ids = list(dict.fromkeys(found.group_ids))
    return found


def _handed_on(rule: Rule, said: dict[str, list[str]]) -> Values | None:
    """Values for the rule's local part; None if it does not count."""
    values: Values = []
    for remote in rule.remote:
        present = said.get(remote.type)
        if not present or present == [""]:
            return None
        if remote.any_one_of is not None:
            if not _matching(present, remote.any_one_of, remote.regex):
                return None
        elif remote.not_any_of is not None:
            if _matching(present, remote.not_any_of, remote.regex):
                return None
        elif remote.blacklist is not None:
            refused = _matching(present, remote.blacklist, remote.regex)
            values.append([value for value in present if value not in refused])
        elif remote.whitelist is not None:
            values.append(_matching(present, remote.whitelist, remote.regex))
        else:
            values.append(present)
    return values


def _matching(present: list[str], wanted: list[str], regex: bool) -> list[str]:
    if not regex:
        chosen = set(wanted)
        return [value for value in present if value in chosen]
    return [value for value in present if any(_compiled(pattern).search(value) for pattern in wanted)]


def _collect(local: Local, values: Values, users: list[LocalUser], found: Mapped) -> None:
    if local.user is not None:
        user: LocalUser = _filled(local.user, values)
        if user.name or user.id:
            users.append(user)
    if local.group is not None:
        group: LocalGroup = _filled(local.group, values)
        if group.id:
            found.group_ids.append(group.id)
        else:
            found.groups.append(group)
    if local.group_ids is not None:
        found.group_ids += [id for id in _several(local.group_ids, values) if id]
    if local.groups is not None:
        domain = _filled(local.domain, values)
        found.groups += [_named_group(name, domain) for name in _several(local.groups, values) if name]
    for project in local.projects or []:
        found.projects.append(_filled(project, values))


def _named_group(name: str, domain: Domain | None) -> LocalGroup:
    """Rules that name no domain are for other clouds, which tell it with the group's name."""
    if domain is not None:
        return LocalGroup(name=name, domain=domain)
    try:
        return msgspec.json.decode(name.removeprefix("JSON:"), type=LocalGroup)
    except msgspec.DecodeError as error:
        raise MappingFailed(f"A group that no domain is named for is no JSON: {error}") from error


def _value(values: Values, index: int) -> list[str]:
    if index >= len(values):
        raise MappingFailed(f"The local part of a rule refers to {{{index}}}, which its remote part does not have.")
    return values[index]


def _several(text: str, values: Values) -> list[str]:
    """A text that is one value handed on stands for all that it holds."""
    whole = _HOLE.fullmatch(text)
    return _value(values, int(whole[1])) if whole else [_text(text, values)]


def _text(text: str, values: Values) -> str:
    return _HOLE.sub(lambda hole: ";".join(_value(values, int(hole[1]))), text)


def _filled(part: Any, values: Values) -> Any:
    """A copy of a local part with every text filled in."""
    if isinstance(part, str):
        return _text(part, values)
    if isinstance(part, list):
        return [_filled(item, values) for item in part]
    if isinstance(part, msgspec.Struct):
        return msgspec.structs.replace(part, **{
            name: _filled(getattr(part, name), values) for name in part.__struct_fields__})
    return part
