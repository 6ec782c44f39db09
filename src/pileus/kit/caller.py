"""Who calls: what a valid token says, as every service sees it."""

from __future__ import annotations

import functools
import re
from typing import Any, Protocol

import msgspec


class AccessRule(msgspec.Struct, frozen=True):
    """A kind of request that a token may be used for: `path` may hold {names} and * for one part, ** for any."""

    service: str
    method: str
    path: str

    def allows(self, service: str, method: str, path: str) -> bool:
        return (self.service, self.method) == (service, method) and bool(_pattern(self.path).fullmatch(_plain(path)))


def _plain(path: str) -> str:
    return "/" + path.strip("/")


@functools.lru_cache(maxsize=10_000)
def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"(\{\w+\}|\*\*|\*)", _plain(path))
    return re.compile("".join(
        re.escape(part) if number % 2 == 0 else ".+" if part == "**" else "[^/]+" for number, part in enumerate(parts)))


class Caller(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Exactly one of project, domain and system is set, or none of them (unscoped). `roles` hold implied ones too."""

    user_id: str
    user_name: str = ""
    user_domain_id: str = ""
    user_domain_name: str = ""
    project_id: str | None = None
    project_name: str | None = None
    project_domain_id: str | None = None
    project_domain_name: str | None = None
    domain_id: str | None = None
    domain_name: str | None = None
    system: bool = False
    roles: tuple[str, ...] = ()
    token: str = ""
    expires_at: float = 0.0              # seconds since the epoch
    thumbprint: str = ""                 # of the certificate without which the token is good for nothing
    access_rules: tuple[AccessRule, ...] = ()            # without any, the token is good for every request

    @functools.cached_property
    def credentials(self) -> dict[str, Any]:
        """What policy checks compare with. Absent facts are left out: None would equal None."""
        found = {"user_id": self.user_id, "project_id": self.project_id, "tenant_id": self.project_id,
                 "domain_id": self.domain_id, "user_domain_id": self.user_domain_id,
                 "project_domain_id": self.project_domain_id, "system_scope": "all" if self.system else None,
                 "scope": self.scope}
        return {key: value for key, value in found.items() if value is not None} | {"roles": list(self.roles)}

    @property
    def scope(self) -> str:
        """In one word: project, domain, system or none."""
        return "project" if self.project_id else "domain" if self.domain_id else "system" if self.system else "none"

    def may_ask(self, service: str, method: str, paths: tuple[str, ...]) -> bool:
        """Whether the token is good for such a request, by any of the names of its path."""
        return not self.access_rules or any(
            rule.allows(service, method, path) for rule in self.access_rules for path in paths)

    def has(self, role: str) -> bool:
        return role in self.roles

    @property
    def is_admin(self) -> bool:
        return "admin" in self.roles


class Authenticator(Protocol):
    async def __call__(self, token: str, *, expired_ok: bool = False) -> Caller:
        """The caller a token stands for. Raises faults.Unauthorized for one that is forged, expired or revoked;
        `expired_ok` when a service vouches that the token was good when what it does began."""
        ...
