"""Why policy allows or refuses: a rule's check as a tree, each part with what became of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from oslo_policy import policy as oslo_policy

from pileus.kit.policy import ANYONE, NOBODY, Policy


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """`joined` is how the parts make the whole: and, or, not, the name of a rule, or nothing for a single check."""

    allowed: bool
    text: str = ""
    joined: str = ""
    parts: tuple[Verdict, ...] = ()

    def lines(self, depth: int = 0) -> list[str]:
        mark = "yes" if self.allowed else "no "
        own = f"{mark} {'  ' * depth}{self.joined or self.text}"
        return [own, *(line for part in self.parts for line in part.lines(depth + 1))]

    def deciding(self) -> list[Verdict]:
        """The single checks that made it so: the ones that hold if it is allowed, else those that lack."""
        if not self.parts:
            return [self]
        wanted = not self.allowed if self.joined == "not" else self.allowed
        found = [part for part in self.parts if part.allowed == wanted]
        if self.joined == "or" and self.allowed or self.joined == "and" and not self.allowed:
            found = found[:1]
        return [leaf for part in found for leaf in part.deciding()]


def explain(policy: Policy, rule: str, credentials: Mapping[str, Any], target: Mapping[str, Any]) -> Verdict:
    """What `policy.allows` says, with the reasons."""
    return _of(policy, policy.rules[rule], credentials, target)


def _of(policy: Policy, check: Any, credentials: Mapping[str, Any], target: Mapping[str, Any]) -> Verdict:
    if isinstance(check, oslo_policy.AndCheck | oslo_policy.OrCheck):
        parts = tuple(_of(policy, part, credentials, target) for part in check.rules)
        every = isinstance(check, oslo_policy.AndCheck)
        return Verdict(allowed=(all if every else any)(part.allowed for part in parts),
                       joined="and" if every else "or", parts=parts)
    if isinstance(check, oslo_policy.NotCheck):
        inner = _of(policy, check.rule, credentials, target)
        return Verdict(allowed=not inner.allowed, joined="not", parts=(inner,))
    if isinstance(check, oslo_policy.RuleCheck):
        inner = _of(policy, policy.rules[check.match], credentials, target)
        return Verdict(allowed=inner.allowed, joined=f"rule {check.match}", parts=(inner,))
    if str(check) in (ANYONE, NOBODY):
        return Verdict(allowed=str(check) == ANYONE, text="anybody may" if str(check) == ANYONE else "nobody may")
    allowed = bool(check(target, credentials, policy))
    return Verdict(allowed=allowed, text=_told(str(check), credentials, target))


def _told(text: str, credentials: Mapping[str, Any], target: Mapping[str, Any]) -> str:
    """A check with the facts it compares: user_id:%(user_id)s (the caller's is a, the target's is b)."""
    kind, _, match = text.partition(":")
    if kind == "role":
        return f"{text} (held: {', '.join(sorted(credentials.get('roles', ()))) or 'none'})"
    named = re.findall(r"%\((.+?)\)s", match)
    facts = [f"the caller's is {credentials.get(kind, 'not set')}"] if not kind.startswith("'") else []
    facts += [f"the target's is {target.get(name, 'not given')}" for name in named]
    return f"{text} ({', '.join(facts)})" if facts else text
