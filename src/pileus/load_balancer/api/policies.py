"""Who may: the names are Octavia's, the checks those of its policy for the default roles."""

from __future__ import annotations

from pileus.kit.policy import ADMIN, PROJECT_MEMBER, PROJECT_READER, Rule

ROOT = "os_load-balancer_api"
ANY_READER = "role:admin or role:reader"


def read(resource: str, action: str = "get_one") -> Rule:
    return Rule(f"{ROOT}:{resource}:{action}", PROJECT_READER)


def listed(resource: str) -> Rule:
    return Rule(f"{ROOT}:{resource}:get_all", PROJECT_READER)


def write(resource: str, action: str) -> Rule:
    return Rule(f"{ROOT}:{resource}:{action}", PROJECT_MEMBER)


def anybody(resource: str, action: str) -> Rule:
    """Of things that belong to no project."""
    return Rule(f"{ROOT}:{resource}:{action}", ANY_READER)


def admin(resource: str, action: str) -> Rule:
    return Rule(f"{ROOT}:{resource}:{action}", ADMIN)
