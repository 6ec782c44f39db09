"""Everything identity consists of."""

from __future__ import annotations

from pileus.identity import changes, migrations
from pileus.identity.api import discovery, feeds, tokens
from pileus.identity.api.listing import page_links
from pileus.identity.faults import envelope
from pileus.identity.model.tables import metadata
from pileus.identity.versions import LEDGER
from pileus.kit.routes import Routes
from pileus.kit.service import Service

SERVICE = Service(
    name="identity", type="identity", ledger=LEDGER, metadata=metadata, migrations=migrations,
    routes=Routes(discovery.routes, tokens.routes, feeds.routes),
    envelope=envelope, page_links=page_links, headers=lambda ctx: {"vary": "X-Auth-Token"},
    reconcilers=(changes.hear_of_changes, changes.forget_old_revocations))
