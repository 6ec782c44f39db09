"""What the query strings of providers and candidates ask for, parsed for the microversion of the request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import msgspec

from pileus.kit.ids import is_uuid
from pileus.kit.numbers import digits
from pileus.kit.versions import Version
from pileus.placement import faults, versions

NUMBERED = re.compile(r"[1-9][0-9]*")
NAMED = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_CLASS = re.compile(r"[A-Z0-9_]{1,255}")
_TRAIT = re.compile(r"[A-Z0-9_]{1,255}")
_GROUP_KEYS = ("resources", "required", "member_of", "in_tree")


class Traits(msgspec.Struct, frozen=True):
    """Every set of `any_of` must be met by at least one of its traits."""

    any_of: tuple[frozenset[str], ...] = ()
    forbidden: frozenset[str] = frozenset()

    def names(self) -> set[str]:
        return {name for names in (*self.any_of, self.forbidden) for name in names}


class Group(msgspec.Struct, frozen=True, kw_only=True):
    suffix: str = ""
    resources: dict[str, int] = {}
    traits: Traits = Traits()
    aggregates: tuple[frozenset[str], ...] = ()          # a member of at least one of each
    forbidden_aggregates: frozenset[str] = frozenset()
    in_tree: str | None = None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A whole request for candidates; the group without a suffix comes first."""

    groups: list[Group]
    isolate: bool = False
    root_traits: Traits = Traits()
    subtrees: list[frozenset[str]] = []
    limit: int | None = None

    def classes(self) -> set[str]:
        return {name for group in self.groups for name in group.resources}

    def trait_names(self) -> set[str]:
        return self.root_traits.names().union(*(group.traits.names() for group in self.groups))


def resources(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in text.split(","):
        name, _, amount = part.strip().partition(":")
        number = digits(amount)
        if not _CLASS.fullmatch(name) or not number:
            raise faults.BadQuery(reason="Badly formed resources parameter. Expected resources query string parameter"
                                  f" in form: ?resources=VCPU:2,MEMORY_MB:1024. Got: {part}.")
        if number > 0x7FFFFFFF:
            raise faults.BadQuery(reason=f"Badly formed resources parameter: {amount} is too much.")
        found[name] = number
    return found


def traits(values: Iterable[str], version: Version) -> Traits:
    values = list(values)
    if len(values) > 1 and version < versions.ANY_TRAITS:
        raise faults.DuplicateKey(name="required")
    any_of: list[frozenset[str]] = []
    forbidden: set[str] = set()
    for value in values:
        if value.startswith("in:") and version >= versions.ANY_TRAITS:
            any_of.append(frozenset(_names(value.removeprefix("in:"), value)))
            continue
        for name in _names(value, value, forbidden_too=version >= versions.FORBIDDEN_TRAITS):
            if name.startswith("!"):
                forbidden.add(name[1:])
            else:
                any_of.append(frozenset([name]))
    both = {name for one in any_of if len(one) == 1 for name in one} & forbidden
    if both:
        raise faults.BadQuery(reason=f"Conflicting required and forbidden traits found: {', '.join(sorted(both))}")
    return Traits(tuple(any_of), frozenset(forbidden))


def _names(text: str, whole: str, *, forbidden_too: bool = False) -> list[str]:
    names = [part.strip() for part in text.split(",")]
    for name in names:
        bare = name[1:] if forbidden_too and name.startswith("!") else name
        if not _TRAIT.fullmatch(bare):
            raise faults.BadQuery(reason="Invalid query string parameters: Expected 'required' parameter value of the"
                                  f" form: HW_CPU_X86_VMX,CUSTOM_MAGIC. Got: {whole}")
    return names


def member_of(values: Iterable[str], version: Version) -> tuple[tuple[frozenset[str], ...], frozenset[str]]:
    """The sets of which each must be met, and the aggregates that must not be."""
    values = list(values)
    if len(values) > 1 and version < versions.REPEATED_MEMBER_OF:
        raise faults.DuplicateKey(name="member_of")
    wanted: list[frozenset[str]] = []
    forbidden: set[str] = set()
    for value in values:
        negated = value.startswith("!") and version >= versions.FORBIDDEN_AGGREGATES
        text = value[1:] if negated else value
        ids = text.removeprefix("in:").split(",") if text.startswith("in:") else [text]
        if not all(is_uuid(each) for each in ids):
            raise faults.BadQuery(reason="Invalid query string parameters: Expected 'member_of' parameter to contain"
                                  f" valid UUID(s). Got: {value}")
        if negated:
            forbidden |= set(ids)
        else:
            wanted.append(frozenset(ids))
    return tuple(wanted), frozenset(forbidden)


def tree_of(values: list[str]) -> str | None:
    if not values:
        return None
    if len(values) > 1:
        raise faults.DuplicateKey(name="in_tree")
    if not is_uuid(values[0]):
        raise faults.BadQuery(reason=f"Expected 'in_tree' parameter to be a format of uuid. Got: {values[0]}")
    return values[0]


def wanted(query: Mapping[str, list[str]], version: Version) -> Wanted:
    """A request for allocation candidates. Raises BadRequest for anything this version does not know."""
    groups: dict[str, dict[str, list[str]]] = {}
    known = _keys_of(version)
    for name, values in query.items():
        key, suffix = _split(name, version)
        if key is not None and key in known:
            groups.setdefault(suffix, {})[key] = values
        elif name not in known or name in _GROUP_KEYS:
            raise faults.BadRequest(reason="Invalid query string parameters: Additional properties are not allowed"
                                    f" ('{name}' was unexpected)")
        elif len(values) > 1 and name != "same_subtree":
            raise faults.DuplicateKey(name=name)
    subtrees = [frozenset(part.strip() for part in value.split(",")) for value in query.get("same_subtree", [])]
    made = [_group(suffix, groups[suffix], version) for suffix in sorted(groups)]
    _check(made, subtrees, query)
    root = traits(query.get("root_required", []), version)
    if any(len(one) > 1 for one in root.any_of):
        raise faults.BadQuery(reason="root_required does not take in:")
    return Wanted(groups=made, isolate=query.get("group_policy") == ["isolate"], root_traits=root, subtrees=subtrees,
                  limit=_limit(query))


def _keys_of(version: Version) -> set[str]:
    since = {"resources": versions.CANDIDATES, "limit": versions.CANDIDATE_LIMIT,
             "required": versions.CANDIDATE_TRAITS, "member_of": versions.CANDIDATE_MEMBER_OF,
             "group_policy": versions.GRANULAR, "in_tree": versions.CANDIDATE_IN_TREE,
             "root_required": versions.ROOT_REQUIRED, "same_subtree": versions.SAME_SUBTREE}
    return {name for name, first in since.items() if version >= first}


def _split(name: str, version: Version) -> tuple[str | None, str]:
    for key in _GROUP_KEYS:
        if name.startswith(key):
            suffix = name.removeprefix(key)
            if not suffix:
                return key, ""
            shape = NAMED if version >= versions.NAMED_GROUPS else NUMBERED
            if version >= versions.GRANULAR and shape.fullmatch(suffix):
                return key, suffix
    return None, ""


def _group(suffix: str, given: Mapping[str, list[str]], version: Version) -> Group:
    if len(given.get("resources", [])) > 1:
        raise faults.DuplicateKey(name="resources" + suffix)
    wanted_aggregates, forbidden_aggregates = member_of(given.get("member_of", []), version)
    return Group(
        suffix=suffix, resources=resources(given["resources"][0]) if "resources" in given else {},
        traits=traits(given.get("required", []), version), aggregates=wanted_aggregates,
        forbidden_aggregates=forbidden_aggregates, in_tree=tree_of(given.get("in_tree", [])))


def _check(groups: list[Group], subtrees: list[frozenset[str]], query: Mapping[str, list[str]]) -> None:
    in_subtrees = frozenset[str]().union(*subtrees) if subtrees else frozenset()
    suffixes = {group.suffix for group in groups if group.suffix}
    if in_subtrees - suffixes:
        raise faults.BadQuery(reason="Real suffixes should be specified in `same_subtree`: "
                              f"{', '.join(sorted(in_subtrees - suffixes))} not found in the request groups.")
    for group in groups:
        if not group.resources and group.suffix not in in_subtrees:
            raise faults.BadQuery(reason="All traits and aggregates should be associated with resources: the group"
                                  f" '{group.suffix}' asks for none.")
    if not any(group.resources for group in groups):
        raise faults.BadQuery(reason="At least one request group (`resources` or `resources{$S}`) is required.")
    policy = query.get("group_policy", [None])[0]
    if policy not in (None, "none", "isolate"):
        raise faults.BadQuery(reason=f"'{policy}' is not one of ['none', 'isolate']")
    if policy is None and len([group for group in groups if group.suffix and group.resources]) > 1:
        raise faults.BadQuery(reason="The \"group_policy\" parameter is required when specifying more than one"
                              " \"resources{N}\" parameter.")


def _limit(query: Mapping[str, list[str]]) -> int | None:
    if "limit" not in query:
        return None
    number = digits(query["limit"][0])
    if not number or number > 0x7FFFFFFF:
        raise faults.BadQuery(reason=f"Invalid query string parameters: '{query['limit'][0]}' is not a limit: a number "
                                     "from 1")
    return number
