"""Policy: a rule is a name and a check in oslo.policy's language; operators may replace the check, never the name."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from oslo_policy import policy as oslo_policy

from pileus.kit.config import BadConfig

ANYONE, NOBODY = "@", "!"
ADMIN = "role:admin"
SERVICE = "role:service"
ADMIN_OR_SERVICE = "role:admin or role:service"
PROJECT_READER = "role:admin or (role:reader and project_id:%(project_id)s)"
PROJECT_MEMBER = "role:admin or (role:member and project_id:%(project_id)s)"
PROJECT_MANAGER = "role:admin or (role:manager and project_id:%(project_id)s)"


class Rule(NamedTuple):
    name: str
    check: str


Check = Callable[["Policy", Mapping[str, Any], Mapping[str, Any]], bool]      # (policy, target, credentials) -> allowed


class Policy:
    """The checks of one service, parsed once by oslo.policy.

    Its combinators find out by reflection, at every call, how many arguments a nested check takes (a tenth of a
    millisecond per rule), so `and`, `or`, `not` and `rule:` are compiled to closures here; the leaf checks stay the
    library's.
    """

    def __init__(self, rules: Iterable[Rule], overrides: Mapping[str, str] | None = None):
        checks: dict[str, str] = {}
        for rule in rules:
            if checks.setdefault(rule.name, rule.check) != rule.check:
                raise BadConfig(f"policy {rule.name} is declared with two different checks")
        unknown = set(overrides or {}) - set(checks)
        if unknown:
            raise BadConfig(f"unknown rules {', '.join(sorted(unknown))}")
        self.overridden = frozenset(overrides or {})
        self.checks = checks | dict(overrides or {})
        self.rules = oslo_policy.Rules({name: _parsed(text) for name, text in self.checks.items()})
        for name, text in self.checks.items():
            self._must_mean_something(name, text)
        self._compiled = {name: _compiled(text) for name, text in self.checks.items()}

    def allows(self, name: str, credentials: Mapping[str, Any], target: Mapping[str, Any]) -> bool:
        """Whether `name` holds. Leave out of both mappings what is not set: None would equal None."""
        return self._compiled[name](self, target, credentials)

    def _must_mean_something(self, name: str, text: str) -> None:
        """The library makes a check that it cannot read one that never holds."""
        if not _readable(text):
            raise BadConfig(f"the check of rule {name} cannot be read: {text}")
        if missing := _rules_in(text) - self.checks.keys():
            raise BadConfig(f"rule {name} refers to a rule that is not there: {', '.join(sorted(missing))}")


@functools.lru_cache(4096)
def _parsed(text: str) -> Any:
    """oslo.policy's own check. Most rules share a few dozen texts, and each process makes several policies."""
    return oslo_policy.Rules.from_dict({"rule": text})["rule"]


@functools.lru_cache(4096)
def _readable(text: str) -> bool:
    return str(_parsed(text)) != NOBODY or text.strip() == NOBODY


@functools.lru_cache(4096)
def _compiled(text: str) -> Check:
    return _compile(_parsed(text))


def _compile(check: Any) -> Check:
    if isinstance(check, oslo_policy.AndCheck):
        parts = [_compile(part) for part in check.rules]
        return lambda policy, target, credentials: all(part(policy, target, credentials) for part in parts)
    if isinstance(check, oslo_policy.OrCheck):
        parts = [_compile(part) for part in check.rules]
        return lambda policy, target, credentials: any(part(policy, target, credentials) for part in parts)
    if isinstance(check, oslo_policy.NotCheck):
        inner = _compile(check.rule)
        return lambda policy, target, credentials: not inner(policy, target, credentials)
    if isinstance(check, oslo_policy.RuleCheck):
        return lambda policy, target, credentials: policy.allows(check.match, credentials, target)
    return lambda policy, target, credentials: bool(check(target, credentials, policy))


@functools.lru_cache(4096)
def _rules_in(text: str) -> frozenset[str]:
    return frozenset(part.match for part in _parts(_parsed(text)) if isinstance(part, oslo_policy.RuleCheck))


def _parts(check: Any) -> list[Any]:
    """A check and all that it is made of."""
    inner = getattr(check, "rules", None) or ([check.rule] if isinstance(check, oslo_policy.NotCheck) else [])
    return [check, *(each for part in inner for each in _parts(part))]


def read_overrides(file: Path) -> dict[str, str]:
    """The `policy.yaml` of an operator: rule names with the checks that replace ours."""
    if not file.exists():
        return {}
    try:
        found = yaml.safe_load(file.read_text()) or {}
    except yaml.YAMLError as error:
        raise BadConfig(f"{file}: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
        raise BadConfig(f"{file}: expected rule names with checks")
    return found
