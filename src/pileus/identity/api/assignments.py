"""Who holds which role where: as given, or in effect after groups, inheritance and implied roles."""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.identity import policies
from pileus.identity.api.listing import links_of, truth
from pileus.identity.faults import InvalidBody
from pileus.identity.model import assignments, projects
from pileus.identity.model.assignments import Effective, Named, Wanted
from pileus.identity.model.roles import Role
from pileus.identity.model.tables import SYSTEM
from pileus.kit.policy import Rule
from pileus.kit.routes import Routes
from pileus.kit.web import Ctx

LIST = Rule("identity:list_role_assignments",
            f"{policies.ANY_ADMIN} or {policies.SYSTEM_READER} or (role:reader and scope:domain)")
LIST_TREE = Rule("identity:list_role_assignments_for_tree", policies.reader_of("project"))
routes = Routes()


class AssignmentQuery(msgspec.Struct, kw_only=True):
    user_id: str | None = msgspec.field(name="user.id", default=None)
    group_id: str | None = msgspec.field(name="group.id", default=None)
    role_id: str | None = msgspec.field(name="role.id", default=None)
    project_id: str | None = msgspec.field(name="scope.project.id", default=None)
    domain_id: str | None = msgspec.field(name="scope.domain.id", default=None)
    system: str | None = msgspec.field(name="scope.system", default=None)
    inherited_to: str | None = msgspec.field(name="scope.OS-INHERIT:inherited_to", default=None)
    effective: str | None = None
    include_names: str | None = None
    include_subtree: str | None = None


@routes.head("/v3/role_assignments", policy=LIST, check=False)
@routes.get("/v3/role_assignments", policy=LIST, check=False)
async def list_assignments(ctx: Ctx, query: AssignmentQuery) -> dict[str, Any]:
    subtree = _flag(query.include_subtree)
    if not subtree:
        ctx.must_allow(LIST.name, {})
    wanted = _wanted(query)
    async with ctx.db.read() as reader:
        if subtree:
            wanted.subtree = await projects.tree(reader, query.project_id or "")
            ctx.must_allow(LIST_TREE.name, policies.project_facts(wanted.subtree[0]))
            wanted.target_id = None
        graph = await ctx.app.contexts.role_graph(reader)
        found = await (assignments.effective(reader, wanted, graph) if _flag(query.effective)
                       else assignments.given(reader, wanted))
        with_names = _flag(query.include_names)
        names = await assignments.named(reader, found, people=with_names)
    if ctx.caller.domain_id:
        found = [row for row in found if _domain_of(names.get(row.target_id)) == ctx.caller.domain_id]
    return {"role_assignments": [_view(ctx, row, names, graph.roles if with_names else {}) for row in found],
            "links": links_of(ctx)}


def _flag(text: str | None) -> bool:
    return text is not None and truth(text)


def _wanted(query: AssignmentQuery) -> Wanted:
    targets = [t for t in (query.project_id, query.domain_id, SYSTEM if query.system else None) if t]
    if len(targets) > 1:
        raise InvalidBody(reason="Specify one scope to filter by: a project, a domain or the system.")
    if query.user_id and query.group_id:
        raise InvalidBody(reason="Specify a user or a group to filter by, not both.")
    if _flag(query.effective) and query.group_id:
        raise InvalidBody(reason="Combining effective and group filter will always result in an empty list.")
    if _flag(query.effective) and query.domain_id and query.inherited_to:
        raise InvalidBody(
            reason="Combining effective, domain and inherited filters will always result in an empty list.")
    if _flag(query.include_subtree) and not query.project_id:
        raise InvalidBody(reason="scope.project.id must be specified if include_subtree is.")
    if query.inherited_to not in (None, "projects"):
        raise InvalidBody(reason="Roles are inherited to projects only.")
    return Wanted(user_id=query.user_id, group_id=query.group_id, role_id=query.role_id,
                  target_id=targets[0] if targets else None, inherited=True if query.inherited_to else None)


def _named(thing: Named | Role | None, id: str, with_names: bool) -> dict[str, Any]:
    if thing is None or not with_names:
        return {"id": id}
    found: dict[str, Any] = {"id": id, "name": thing.name}
    if isinstance(thing, Named) and thing.domain_id:
        found["domain"] = {"id": thing.domain_id, "name": thing.domain_name}
    return found


def _domain_of(place: Named | None) -> str | None:
    return None if place is None else place.id if place.kind == "domain" else place.domain_id


def _view(ctx: Ctx, row: Effective, names: dict[str, Named], known_roles: dict[str, Role]) -> dict[str, Any]:
    """With `known_roles` everything has its name."""
    place, with_names = names.get(row.target_id), bool(known_roles)
    if row.target_id == SYSTEM:
        scope: dict[str, Any] = {"system": {"all": True}}
    else:
        scope = {place.kind if place else "project": _named(place, row.target_id, with_names)}
    if row.inherited:
        scope["OS-INHERIT:inherited_to"] = "projects"
    actor, id = ("user", row.user_id) if row.user_id else ("group", row.group_id or "")
    return {"role": _named(known_roles.get(row.role_id), row.role_id, with_names), "scope": scope,
            actor: _named(names.get(id), id, with_names), "links": _links(ctx, row, names)}


def _links(ctx: Ctx, row: Effective, names: dict[str, Named]) -> dict[str, str]:
    """Where it was given, and through which membership and which role it came."""
    source = names.get(row.source_id)
    kind = "domains" if source is not None and source.kind == "domain" else "projects"
    actor = f"groups/{row.source_group_id}" if row.source_group_id else \
        f"users/{row.user_id}" if row.user_id else f"groups/{row.group_id}"
    where = "system" if row.source_id == SYSTEM else f"{kind}/{row.source_id}"
    path = f"{where}/{actor}/roles/{row.source_role_id}"
    root = f"{ctx.base_url}/v3"
    links = {"assignment": f"{root}/OS-INHERIT/{path}/inherited_to_projects" if row.source_inherited
             else f"{root}/{path}"}
    if row.source_group_id and row.user_id:
        links["membership"] = f"{root}/groups/{row.source_group_id}/users/{row.user_id}"
    if row.source_role_id != row.role_id:
        links["prior_role"] = f"{root}/roles/{row.source_role_id}"
    return links
