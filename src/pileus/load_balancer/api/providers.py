"""/v2.0/lbaas/providers: what makes load balancers, and what flavors and zones may say to it."""

from __future__ import annotations

import msgspec

from pileus.kit.policy import Rule
from pileus.kit.routes import Page, Routes
from pileus.kit.web import Ctx
from pileus.load_balancer.api import policies
from pileus.load_balancer.api.lists import Query
from pileus.load_balancer.api.shapes import BASE, PROVIDERS
from pileus.load_balancer.faults import NoProvider

routes = Routes()
FLAVOR = {"connection_limit": "Connections at once, over all listeners of a load balancer.",
          "loadbalancer_topology": "SINGLE or ACTIVE_STANDBY. Either way one host at a time carries a load balancer; "
                                   "when that is lost another one does."}
TOPOLOGIES = ("SINGLE", "ACTIVE_STANDBY")
ZONE = {"hosts": "Names of the hosts that the zone consists of."}
LIST: Rule = policies.anybody("provider", "get_all")


class Named(msgspec.Struct, kw_only=True):
    name: str
    description: str


def _found(known: dict[str, str], query: Query) -> list[Named]:
    return [Named(name=name, description=text) for name, text in known.items()
            if query.get("name", [name])[-1] == name and query.get("description", [text])[-1] == text]


@routes.get(f"{BASE}/providers", envelope="providers", policy=LIST)
async def list_providers(ctx: Ctx, query: Query) -> Page[Named]:
    return Page(_found(PROVIDERS, query))


@routes.get(f"{BASE}/providers/{{provider}}/flavor_capabilities", envelope="flavor_capabilities",
            policy=policies.admin("provider-flavor", "get_all"))
async def list_flavor_capabilities(ctx: Ctx, provider: str, query: Query) -> Page[Named]:
    return Page(_found(_of(provider, FLAVOR), query))


@routes.get(f"{BASE}/providers/{{provider}}/availability_zone_capabilities", envelope="availability_zone_capabilities",
            policy=policies.admin("provider-availability-zone", "get_all"))
async def list_zone_capabilities(ctx: Ctx, provider: str, query: Query) -> Page[Named]:
    return Page(_found(_of(provider, ZONE), query))


def _of(provider: str, known: dict[str, str]) -> dict[str, str]:
    if provider not in PROVIDERS:
        raise NoProvider(provider=provider)
    return known
