"""Who holds which role where: as given, or in effect after groups, inheritance and implied roles."""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.identity import policies
from pileus.identity.api.listing import links_of, truth
from pileus.identity.faults import InvalidBody
from pileus.identity.model import assignments, projects, roles, users
from pileus.identity.model.assignments import Effective, Wanted
from pileus.identity.model.projects import Project
from pileus.identity.model.roles import Role
from pileus.identity.model.tables import SYSTEM
from pileus.identity.model.users import Group, User
from pileus.kit.db import Connection
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
            project = await projects.get(reader, query.project_id or "")
            ctx.must_allow(LIST_TREE.name, policies.project_facts(project))
            wanted.subtree = {row.id for row in await projects.below(reader, project)} | {project.id}
            wanted.target_id = None
        graph = await ctx.app.contexts.role_graph(reader)
        found = await (assignments.effective(reader, wanted, graph) if _flag(query.effective)
                       else assignments.given(reader, wanted))
        names = await _Names.load(reader, found, graph)
    if ctx.caller.domain_id:
        found = [row for row in found if names.domain_of(row.target_id) == ctx.caller.domain_id]
    with_names = _flag(query.include_names)
    return {"role_assignments": [_view(ctx, row, names, with_names) for row in found], "links": links_of(ctx)}


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


class _Names(msgspec.Struct):
    """The things that assignments refer to."""

    places: dict[str, Project]
    users: dict[str, User]
    groups: dict[str, Group]
    roles: dict[str, Role]

    @classmethod
    async def load(cls, conn: Connection, found: list[Effective], graph: roles.RoleGraph) -> _Names:
        places = {p.id: p for p in await projects.by_ids(conn, {row.target_id for row in found})}
        people = await users.by_ids(conn, {row.user_id for row in found if row.user_id})
        groups = await users.groups_by_ids(conn, {row.group_id for row in found if row.group_id})
        domains = {p.domain_id for p in (*places.values(), *people, *groups) if p.domain_id} - set(places)
        places |= {p.id: p for p in await projects.by_ids(conn, domains)}
        return cls(places, {p.id: p for p in people}, {g.id: g for g in groups}, graph.roles)

    def domain_of(self, target_id: str) -> str | None:
        place = self.places.get(target_id)
        return None if place is None else place.id if place.is_domain else place.domain_id

    def of(self, thing: Project | User | Group | Role | None, with_names: bool) -> dict[str, Any]:
        if thing is None or not with_names:
            return {"id": thing.id if thing else ""}
        found: dict[str, Any] = {"id": thing.id, "name": thing.name}
        if thing.domain_id and thing.domain_id in self.places:
            found["domain"] = {"id": thing.domain_id, "name": self.places[thing.domain_id].name}
        return found


def _view(ctx: Ctx, row: Effective, names: _Names, with_names: bool) -> dict[str, Any]:
    place = names.places.get(row.target_id)
    kind = "domain" if place is not None and place.is_domain else "project"
    view: dict[str, Any] = {"role": names.of(names.roles.get(row.role_id), with_names)}
    if row.target_id == SYSTEM:
        scope: dict[str, Any] = {"system": {"all": True}}
    else:
        scope = {kind: names.of(place, with_names)}
    if row.inherited:
        scope["OS-INHERIT:inherited_to"] = "projects"
    view["scope"] = scope
    actor = "user" if row.user_id else "group"
    thing: User | Group | None = names.users.get(row.user_id or "") or names.groups.get(row.group_id or "")
    view[actor] = names.of(thing, with_names) if thing else {"id": row.user_id or row.group_id}
    view["links"] = _links(ctx, row, names)
    return view


def _links(ctx: Ctx, row: Effective, names: _Names) -> dict[str, str]:
    """Where it was given, and through which membership and which role it came."""
    source = names.places.get(row.source_id)
    kind = "domains" if source is not None and source.is_domain else "projects"
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
