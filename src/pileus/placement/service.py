"""Everything the placement service consists of."""

from __future__ import annotations

from pileus.kit.routes import Routes
from pileus.kit.service import Service
from pileus.placement import migrations
from pileus.placement.api import (
    aggregates,
    allocation_candidates,
    allocations,
    claims,
    inventories,
    providers,
    reshaper,
    resource_classes,
    root,
    traits,
    usages,
)
from pileus.placement.model.tables import metadata
from pileus.placement.versions import LEDGER

SERVICE = Service(
    name="placement", type="placement", ledger=LEDGER, metadata=metadata, migrations=migrations,
    routes=Routes(root.routes, providers.routes, inventories.routes, aggregates.routes, traits.routes,
                  resource_classes.routes, allocations.routes, usages.routes, allocation_candidates.routes,
                  reshaper.routes, claims.routes),
    envelope=root.envelope, headers=root.cache_headers, body_bytes=4 << 20)
