"""Everything compute consists of."""

from __future__ import annotations

from pileus.compute import conductor, migrations
from pileus.compute.api import (
    addresses,
    aggregates,
    assisted_snapshots,
    consoles,
    discovery,
    extensions,
    external_events,
    flavor_extras,
    flavors,
    hosts,
    hypervisors,
    images,
    interfaces,
    keypairs,
    limits,
    old_networks,
    old_volumes,
    quotas,
    schedule,
    security_groups,
    server_actions,
    server_create,
    server_groups,
    server_images,
    server_insides,
    server_items,
    server_moves,
    server_passwords,
    server_rebuilds,
    servers,
    services,
    shares,
    usage,
    usage_audits,
    volume_attachments,
    zones,
)
from pileus.compute.faults import envelope
from pileus.compute.links import named_path, page_links
from pileus.compute.messages import CONDUCTOR
from pileus.compute.model.tables import metadata
from pileus.compute.reconcilers.abandoned_servers import abandoned_servers
from pileus.compute.reconcilers.forgotten import forgotten
from pileus.compute.reconcilers.orphaned_claims import orphaned_claims
from pileus.compute.reconcilers.reclaimed import reclaimed
from pileus.compute.sagas.attach_volume import AttachVolume, DetachVolume, GrowVolume
from pileus.compute.sagas.boot_server import BootServer
from pileus.compute.sagas.delete_server import DeleteServer
from pileus.compute.sagas.interfaces import AttachInterface, DetachInterface
from pileus.compute.sagas.power_server import PowerServer
from pileus.compute.sagas.rebuild_server import RebuildServer
from pileus.compute.sagas.rescue_server import RescueServer, UnrescueServer
from pileus.compute.sagas.resize_server import ConfirmResize, ResizeServer, RevertResize
from pileus.compute.sagas.set_password import SetServerPassword
from pileus.compute.sagas.shelve_server import ShelveServer, UnshelveServer
from pileus.compute.sagas.snapshot_server import SnapshotServer
from pileus.compute.versions import FLAVOR_NAMES, LEDGER
from pileus.kit import operations
from pileus.kit.routes import Routes
from pileus.kit.service import Service

SERVICE = Service(
    name="compute", type="compute", ledger=LEDGER, strict_queries=FLAVOR_NAMES,
    metadata=metadata, migrations=migrations,
    routes=Routes(discovery.routes, servers.routes, server_create.routes, server_actions.routes, server_items.routes,
                  server_passwords.routes, server_images.routes, server_insides.routes, server_moves.routes,
                  server_rebuilds.routes, server_groups.routes, consoles.routes, interfaces.routes, flavors.routes,
                  flavor_extras.routes, keypairs.routes, aggregates.routes, hypervisors.routes, services.routes,
                  hosts.routes, zones.routes, quotas.routes, limits.routes, usage.routes, external_events.routes,
                  security_groups.routes, volume_attachments.routes, assisted_snapshots.routes, shares.routes,
                  images.routes, schedule.routes, extensions.routes, old_networks.routes, old_volumes.routes,
                  addresses.routes, usage_audits.routes, operations.routes),
    rules=(*servers.RULES, *server_create.RULES, *server_items.RULES, *server_groups.RULES, *server_images.RULES,
           *server_moves.RULES, *volume_attachments.RULES, *limits.RULES),
    envelope=envelope, page_links=page_links, path=named_path,
    sagas=(BootServer, DeleteServer, PowerServer, RebuildServer, RescueServer, UnrescueServer, SnapshotServer,
           ShelveServer, UnshelveServer, ResizeServer, ConfirmResize, RevertResize, SetServerPassword, AttachInterface,
           DetachInterface, AttachVolume, DetachVolume, GrowVolume),
    reconcilers=(abandoned_servers, orphaned_claims, reclaimed, forgotten, operations.forgotten_sagas),
    handlers=conductor.handlers, topic=CONDUCTOR,
    legacy=("/v2", "/v2.1"), headers=lambda ctx: {"x-compute-request-id": ctx.request_id})
