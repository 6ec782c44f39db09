"""Everything the load balancer service consists of."""

from __future__ import annotations

from pileus.kit import operations
from pileus.kit.routes import Routes
from pileus.kit.service import Service
from pileus.load_balancer import conductor, migrations
from pileus.load_balancer.api import (
    amphorae,
    discovery,
    flavors,
    health_monitors,
    l7policies,
    l7rules,
    listeners,
    load_balancers,
    members,
    pools,
    providers,
    quotas,
    zones,
)
from pileus.load_balancer.faults import envelope
from pileus.load_balancer.messages import CONDUCTOR
from pileus.load_balancer.model import tables
from pileus.load_balancer.reconcilers.carried import carried
from pileus.load_balancer.sagas.apply_changes import ApplyChanges
from pileus.load_balancer.sagas.delete_load_balancer import DeleteLoadBalancer
from pileus.load_balancer.versions import LEDGER

SERVICE = Service(
    name="load_balancer", type="load-balancer", ledger=LEDGER, metadata=tables.metadata, migrations=migrations,
    routes=Routes(discovery.routes, load_balancers.routes, listeners.routes, pools.routes, members.routes,
                  health_monitors.routes, l7policies.routes, l7rules.routes, quotas.routes, providers.routes,
                  flavors.routes, zones.routes, amphorae.routes, operations.routes),
    envelope=envelope, path=discovery.as_routes_know_it, sagas=(ApplyChanges, DeleteLoadBalancer),
    reconcilers=(carried, operations.forgotten_sagas), handlers=conductor.handlers, topic=CONDUCTOR,
    field_selection=True, strict_types=False, body_bytes=1 << 20)
