"""pileus policy explain: whether somebody may do something, and what decides it."""

from __future__ import annotations

import argparse
import difflib
from typing import Any

from pileus.commands.lifecycle import state_of
from pileus.commands.rest import Api
from pileus.commands.trouble import Trouble
from pileus.kit.caller import Caller
from pileus.kit.config import BadConfig

__all__ = ["Trouble", "policy"]


def policy(given: argparse.Namespace) -> int:
    """Ends with 0 if it is allowed, with 2 if not."""
    from pileus.kit.explain import explain  # noqa: PLC0415 - brings every service along
    from pileus.processes.policies import policies_of  # noqa: PLC0415
    state = state_of(given)
    try:
        found = policies_of(state.folder / "policy.yaml")
    except BadConfig as error:
        raise Trouble(str(error)) from error
    known = {name: each for each in found.values() for name in each.checks}
    if given.rule not in known:
        close = difflib.get_close_matches(given.rule, known, n=5, cutoff=0.5)
        raise Trouble(f"there is no rule {given.rule}" + (f"; is it {', '.join(close)}?" if close else ""))
    caller = _caller(Api(state, "admin"), given.user, given.scope)
    target = _facts(given.facts) if given.facts else caller.credentials
    verdict = explain(known[given.rule], given.rule, caller.credentials, target)
    print(f"{caller.user_name} on {given.scope} {'may' if verdict.allowed else 'may not'} {given.rule}")
    print(f"because: {'; '.join(leaf.text for leaf in verdict.deciding())}\n")
    if given.rule in known[given.rule].overridden:
        print(f"The check is from {state.folder / 'policy.yaml'}.")
    print("\n".join(verdict.lines()))
    if not given.facts:
        print("\nNo target was given, so it is taken to be the caller's own. Name its facts as project_id=ID …")
    return 0 if verdict.allowed else 2


def _facts(words: list[str]) -> dict[str, str]:
    if wrong := [word for word in words if "=" not in word]:
        raise Trouble(f"facts of a target are written name=value, unlike {', '.join(wrong)}")
    return dict(word.split("=", 1) for word in words)


def _caller(api: Api, user: str, scope: str) -> Caller:
    """The user as they would be with a token for a project, for domain:NAME, or for the system."""
    person = _one(api, "user", user)
    kind, name = ("domain", scope.removeprefix("domain:")) if scope.startswith("domain:") else ("project", scope)
    asked: dict[str, Any] = {"user.id": person["id"], "effective": "1", "include_names": "1"}
    facts: dict[str, Any] = {}
    if scope == "system":
        asked["scope.system"], facts["system"] = "all", True
    else:
        place = _one(api, kind, name)
        asked[f"scope.{kind}.id"] = facts[f"{kind}_id"] = place["id"]
        if kind == "project":
            facts["project_domain_id"] = place["domain_id"]
    held = api.get("identity", "/v3/role_assignments", **asked)["role_assignments"]
    roles = tuple(sorted({each["role"]["name"] for each in held}))
    return Caller(user_id=person["id"], user_name=person["name"], user_domain_id=person["domain_id"], roles=roles,
                  **facts)


def _one(api: Api, kind: str, name_or_id: str) -> dict[str, Any]:
    found = api.get("identity", f"/v3/{kind}s", name=name_or_id)[f"{kind}s"]
    if not found:
        answer = api.call("GET", "identity", f"/v3/{kind}s/{name_or_id}", accept=(404,))
        found = [answer[kind]] if answer and kind in answer else []
    if len(found) != 1:
        raise Trouble(f"no {kind} is named {name_or_id}" if not found
                      else f"{len(found)} {kind}s are named {name_or_id}; use an id")
    return found[0]
