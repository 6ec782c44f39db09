"""What a service consists of (the manifest) and what one running copy of it holds (the runtime)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from pileus.kit.bus import Bus, Handlers
from pileus.kit.caller import Caller
from pileus.kit.clock import Clock, SystemClock
from pileus.kit.db import Db
from pileus.kit.faults import Fault
from pileus.kit.policy import Policy, Rule
from pileus.kit.reconcile import Reconciler, Runner
from pileus.kit.routes import Route, Routes, RouteTree
from pileus.kit.saga import Saga
from pileus.kit.saga_engine import Engine
from pileus.kit.versions import Ledger, Version

if TYPE_CHECKING:
    from pileus.kit.web import Ctx

DEFAULT_BODY_BYTES = 114_688


def no_links(ctx: Ctx, route: Route, next_marker: str | None) -> dict[str, Any]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Service:
    """Everything a service consists of, in explicit lists."""

    name: str                                             # our word: compute
    type: str                                             # the catalog's: compute
    ledger: Ledger
    metadata: sa.MetaData
    migrations: ModuleType
    routes: Routes
    envelope: Callable[[Ctx, Fault], tuple[bytes, str]]   # the body and content type of a fault
    page_links: Callable[[Ctx, Route, str | None], dict[str, Any]] = no_links
    rules: tuple[Rule, ...] = ()                          # asked of policy by handlers, beside those of the routes
    sagas: tuple[type[Saga], ...] = ()
    reconcilers: tuple[Reconciler, ...] = ()
    handlers: Handlers = field(default_factory=Handlers)  # of messages to its conductors
    topic: str = ""                                       # on which its conductors listen
    body_bytes: int = DEFAULT_BODY_BYTES
    legacy: tuple[str, str] | None = None                 # beginning of paths before there were versions, and now
    path_suffix: str = ""                                 # which any path may end in and which says nothing: ".json"
    path: Callable[[Ctx, str], str] = lambda ctx, path: path      # the path as routes know it
    admit: Callable[[Ctx], None] = lambda ctx: None               # refuses requests of a caller who is known now
    strict_queries: Version | None = None                 # since when GET refuses parameters it does not take
    strict_types: bool = True                             # False: numbers and booleans in bodies may be texts
    field_selection: bool = False                         # ?fields= picks what is answered (Networking API)
    headers: Callable[[Ctx], dict[str, str]] = lambda ctx: {}

    @functools.cached_property
    def tree(self) -> RouteTree:
        return RouteTree(self.routes.all)

    def policy(self, overrides: Mapping[str, str] | None = None) -> Policy:
        if not overrides:
            return self._own_policy
        return Policy(self._every_rule(), overrides)

    @functools.cached_property
    def _own_policy(self) -> Policy:
        return Policy(self._every_rule())

    def _every_rule(self) -> list[Rule]:
        return [*self.rules, *(route.policy for route in self.routes.all if route.policy)]


class Runtime:
    """One running copy of a service. Services subclass it to add their clients, typed."""

    def __init__(self, service: Service, *, db: Db, bus: Bus, clock: Clock | None = None, engine: Engine | None = None,
                 policy_overrides: Mapping[str, str] | None = None):
        self.service, self.db, self.bus = service, db, bus
        self.clock: Clock = clock or SystemClock()
        self.sagas = engine or Engine(db)
        self.sagas.services = self
        self.policy = service.policy(policy_overrides)
        self.reconcilers = Runner(list(service.reconcilers), self)

    async def without_token(self, ctx: Any) -> Caller | None:
        """Whoever asks without a token but has proven otherwise who they are; None: nobody."""
        return None
