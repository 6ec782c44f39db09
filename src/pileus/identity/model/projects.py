"""Projects and domains (which are projects that nothing is above)."""

from __future__ import annotations

from typing import Any

import msgspec
import sqlalchemy as sa

from pileus.identity.faults import Missing
from pileus.identity.model.tables import project_tags, projects
from pileus.kit import db
from pileus.kit.db import Connection

NULL_DOMAIN = "<<null>>"


class Project(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    domain_id: str | None
    parent_id: str | None
    scope: str
    path: str
    is_domain: bool = False
    enabled: bool = True
    description: str = ""
    tags: list[str] = []
    options: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    generation: int = 1

    @property
    def ancestors(self) -> list[str]:
        """Ids from the domain down to the parent."""
        return self.path.strip("/").split("/")[:-1]


def new_domain(id: str, name: str, **more: Any) -> Project:
    return Project(id=id, name=name, domain_id=None, parent_id=None, scope="", path=f"/{id}/", is_domain=True, **more)


def new_project(id: str, name: str, parent: Project, **more: Any) -> Project:
    domain_id = parent.id if parent.is_domain else parent.domain_id
    return Project(id=id, name=name, domain_id=domain_id, parent_id=parent.id, scope=domain_id or "",
                   path=f"{parent.path}{id}/", **more)


_BY_ID = sa.select(projects).where(projects.c.id == sa.bindparam("id"))
_BY_NAME = sa.select(projects).where(projects.c.scope == sa.bindparam("scope"), projects.c.name == sa.bindparam("name"))


async def find(conn: Connection, project_id: str) -> Project | None:
    return await db.one(conn, _BY_ID, Project, id=project_id)


async def get(conn: Connection, project_id: str) -> Project:
    row = await find(conn, project_id)
    if row is None:
        raise Missing(kind="project", id=project_id)
    return row


async def get_domain(conn: Connection, domain_id: str) -> Project:
    row = await find(conn, domain_id)
    if row is None or not row.is_domain:
        raise Missing(kind="domain", id=domain_id)
    return row


async def find_by_name(conn: Connection, scope: str, name: str) -> Project | None:
    """A project of the domain `scope`, or, with an empty one, a domain."""
    return await db.one(conn, _BY_NAME, Project, scope=scope, name=name)


async def by_ids(conn: Connection, ids: set[str]) -> list[Project]:
    return await db.many(conn, sa.select(projects).where(projects.c.id.in_(ids)).order_by(projects.c.id), Project) \
        if ids else []


async def below(conn: Connection, project: Project) -> list[Project]:
    """Every project under this one, nearest first."""
    query = sa.select(projects).where(projects.c.path.startswith(project.path, autoescape=True),
                                      projects.c.id != project.id)
    if project.domain_id:
        query = query.where(projects.c.domain_id == project.domain_id)
    return sorted(await db.many(conn, query.order_by(projects.c.id), Project), key=lambda p: p.path.count("/"))


async def tree(conn: Connection, project_id: str) -> list[Project]:
    """A project and every one under it, nearest first."""
    root = projects.alias()
    under = sa.func.substr(projects.c.path, 1, sa.func.length(root.c.path)) == root.c.path
    own = projects.c.domain_id == sa.func.coalesce(root.c.domain_id, root.c.id)
    query = sa.select(projects).join(root, sa.or_(projects.c.id == root.c.id, sa.and_(own, under)))
    found = await db.many(conn, query.where(root.c.id == project_id).order_by(projects.c.id), Project)
    if not found:
        raise Missing(kind="project", id=project_id)
    return sorted(found, key=lambda p: p.path.count("/"))


async def add(tx: Connection, project: Project) -> None:
    await db.add(tx, projects, project)
    await _write_tags(tx, project.id, project.tags)


async def change(tx: Connection, project: Project, **values: Any) -> Project:
    if "tags" in values:
        await tx.execute(project_tags.delete().where(project_tags.c.project_id == project.id))
        await _write_tags(tx, project.id, values["tags"])
    return await db.change(tx, projects, project, **values)


async def remove(tx: Connection, ids: list[str]) -> None:
    await tx.execute(projects.delete().where(projects.c.id.in_(ids)))


async def _write_tags(tx: Connection, project_id: str, tags: list[str]) -> None:
    if tags:
        await tx.execute(project_tags.insert(), [{"project_id": project_id, "name": tag} for tag in tags])


def tagged(query: sa.Select[Any], tags: dict[str, list[str]]) -> sa.Select[Any]:
    """Narrow by `tags`, `tags-any`, `not-tags` and `not-tags-any`, each a list of names."""
    def having(names: list[str]) -> sa.Select[Any]:
        return sa.select(project_tags.c.project_id).where(project_tags.c.name.in_(names))

    for kind, names in tags.items():
        if kind == "tags":
            for name in names:
                query = query.where(projects.c.id.in_(having([name])))
        elif kind == "tags-any":
            query = query.where(projects.c.id.in_(having(names)))
        elif kind == "not-tags-any":
            query = query.where(projects.c.id.not_in(having(names)))
        else:
            query = query.where(sa.or_(*(projects.c.id.not_in(having([name])) for name in names)))
    return query
