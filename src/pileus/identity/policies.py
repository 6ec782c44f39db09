"""Who may: the checks of identity's rules, with the names of facts that operators know from oslo.policy files.

These are the defaults operators know: whoever administers a project or the whole cloud may do everything; who
administers a domain, everything with domains and what is in them, of any domain. To keep administrators inside their
domains, give them the role manager there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pileus.identity.model.app_credentials import AppCredential
from pileus.identity.model.projects import Project
from pileus.identity.model.roles import Role
from pileus.identity.model.users import Group, User
from pileus.kit.policy import Rule

ANYONE = "@"
ADMIN = "(role:admin and not scope:domain)"
ANY_ADMIN = "role:admin"
SYSTEM_READER = "(role:reader and system_scope:all)"
READER = f"{ADMIN} or {SYSTEM_READER}"
LISTER = f"{READER} or (role:reader and scope:domain)"           # lists show a domain's reader what is the domain's
VALIDATOR = f"{ANY_ADMIN} or {SYSTEM_READER} or role:service or user_id:%(target.token.user_id)s"
OWNER = "user_id:%(target.user.id)s"
SERVICE = f"{ADMIN} or role:service"
# The roles that a domain's manager may see and give.
MANAGED = Rule("domain_managed_target_role", "'manager':%(target.role.name)s or 'member':%(target.role.name)s"
               " or 'reader':%(target.role.name)s")


def reader_of(kind: str) -> str:
    return f"{ANY_ADMIN} or {SYSTEM_READER} or (role:reader and domain_id:%(target.{kind}.domain_id)s)"


def writer_of(kind: str) -> str:
    return f"{ANY_ADMIN} or (role:manager and domain_id:%(target.{kind}.domain_id)s)"


def nothing(path: Mapping[str, str]) -> Mapping[str, Any]:
    """What policy may refer to when a thing is not there."""
    return {}


def of_path_user(path: Mapping[str, str]) -> Mapping[str, Any]:
    """When things of a user are named below the user, it is the user who is told that they are not there."""
    return {"target.user.id": path["user_id"], "user_id": path["user_id"]}


def user_facts(user: User) -> dict[str, Any]:
    return {"target.user.id": user.id, "target.user.domain_id": user.domain_id, "user_id": user.id}


def group_facts(group: Group) -> dict[str, Any]:
    return {"target.group.id": group.id, "target.group.domain_id": group.domain_id}


def project_facts(project: Project) -> dict[str, Any]:
    """A domain's own project belongs to the domain that it is."""
    return {"target.project.id": project.id, "project_id": project.id,
            "target.project.domain_id": project.domain_id or project.id}


def domain_facts(domain: Project) -> dict[str, Any]:
    return {"target.domain.id": domain.id, "target.domain.domain_id": domain.id}


def role_facts(role: Role) -> dict[str, Any]:
    """A role of the whole cloud has no domain, which policies ask for as None:%(target.role.domain_id)s."""
    return {"target.role.id": role.id, "target.role.name": role.name, "target.role.domain_id": role.domain_id}


def app_credential_facts(credential: AppCredential) -> dict[str, Any]:
    return {"target.user.id": credential.user_id, "user_id": credential.user_id}
