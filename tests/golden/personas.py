"""Who may do what: every route, asked of the service's own policy for one of each kind of caller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pileus.kit.caller import Caller
from pileus.kit.policy import Policy
from pileus.kit.routes import Route
from pileus.kit.service import Service
from tests.golden.services import SERVICES

DOMAIN, OURS, THEIRS = "the-domain", "our-project", "their-project"
MANAGER, MEMBER, READER = ("manager", "member", "reader"), ("member", "reader"), ("reader",)


def _caller(name: str, project: str, roles: tuple[str, ...]) -> Caller:
    return Caller(user_id=name, user_domain_id=DOMAIN, project_id=project, project_domain_id=DOMAIN, roles=roles)


PERSONAS = {
    "admin": _caller("admin", "admin-project", ("admin", *MANAGER)),
    "manager": _caller("manager", OURS, MANAGER),
    "member": _caller("member", OURS, MEMBER),
    "reader": _caller("reader", OURS, READER),
    "other": _caller("stranger", THEIRS, MEMBER),
    "service": _caller("service-user", "service-project", ("service",)),
}
NOBODY = "nobody"
# What is so of a thing that the persona `member` made in its project, as policy checks refer to it.
THING: dict[str, Any] = {
    "id": "the-thing", "project_id": OURS, "tenant_id": OURS, "user_id": "member", "domain_id": DOMAIN,
    "visibility": "private", "member_id": OURS, "shared": False, "router:external": False, "network:project_id": OURS,
    "device_owner_kind": "compute", "subtree": OURS,
    "target.user.id": "member", "target.user.domain_id": DOMAIN, "target.group.domain_id": DOMAIN,
    "target.project.id": OURS, "target.project.domain_id": DOMAIN, "target.domain.id": DOMAIN,
    "target.domain.domain_id": DOMAIN, "target.role.name": "member", "target.token.user_id": "member",
    "target.credential.user_id": "member", "target.trust.trustor_user_id": "member",
    "target.trust.trustee_user_id": "reader"}
HEAD = """\
Who may use which route, by the rules' own checks, for a thing that `member` made in its project.
admin, manager, member, reader: of these roles, each but admin in the project of the thing. other: member of another
project. service: another service of the cloud. nobody: no token. A dot is a refusal. Routes without a target (lists,
mostly) are asked for the caller's own project, as they act on nothing else. `asks again`: the handler itself asks once
it knows more of the thing than its path says. Below each service's routes stand the rules that handlers ask besides.
"""


def matrix() -> str:
    return HEAD + "".join(_service(service) for service in SERVICES)


def _service(service: Service) -> str:
    policy = service.policy()
    lines = [f"\n[{service.name}]"]
    lines += [_route(policy, route) for route in sorted(service.routes.all, key=_order)]
    of_routes = {route.policy.name for route in service.routes.all if route.policy}
    lines += [f"{_row(policy, name, THING)}  rule {name}" for name in sorted(set(policy.checks) - of_routes)]
    return "\n".join(lines) + "\n"


def _order(route: Route) -> tuple[str, ...]:
    return route.path, route.method, route.action or "", str(route.window.since or ""), str(route.window.until or "")


def _route(policy: Policy, route: Route) -> str:
    what = [route.method, route.path]
    if route.action:
        what.append(f"({route.action})")
    if route.window.since:
        what.append(f"from {route.window.since}")
    if route.window.until:
        what.append(f"before {route.window.until}")
    if route.policy is None:
        return f"{' '.join([*PERSONAS, NOBODY])}  {' '.join(what)}"
    facts = None if route.target is None and route.check else THING
    again = "" if route.check else "; asks again"
    return f"{_row(policy, route.policy.name, facts)}  {' '.join(what)}  [{route.policy.name}{again}]"


def _row(policy: Policy, rule: str, facts: Mapping[str, Any] | None) -> str:
    """Without facts, the caller's own credentials are what checks compare with, as in a request."""
    answers = {name: policy.allows(rule, caller.credentials, caller.credentials if facts is None else facts)
               for name, caller in PERSONAS.items()}
    return " ".join([*(name if allowed else ".".ljust(len(name)) for name, allowed in answers.items()),
                     ".".ljust(len(NOBODY))])
