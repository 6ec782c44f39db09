"""Everything the volume service consists of."""

from __future__ import annotations

from pileus.kit import operations
from pileus.kit.routes import Routes
from pileus.kit.service import Service
from pileus.volume import conductor, migrations
from pileus.volume.api import (
    attachments,
    backups,
    connections,
    consistency_groups,
    discovery,
    group_snapshots,
    group_types,
    groups,
    log_levels,
    manage,
    messages,
    metadata,
    qos,
    quotas,
    services,
    snapshots,
    transfers,
    type_extras,
    types,
    volume_actions,
    volume_admin_actions,
    volume_create,
    volumes,
)
from pileus.volume.faults import envelope
from pileus.volume.messages import CONDUCTOR
from pileus.volume.model import tables
from pileus.volume.paths import must_match, page_links, without_project
from pileus.volume.reconcilers.forgotten import old_messages
from pileus.volume.reconcilers.keys_of_images import keys_of_images
from pileus.volume.reconcilers.orphaned_exports import orphaned_exports
from pileus.volume.sagas.backups import CreateBackup, DeleteBackup, Restore
from pileus.volume.sagas.change_volume import ExtendVolume, Manage, Reimage, Revert, Upload
from pileus.volume.sagas.create_volume import CreateVolume
from pileus.volume.sagas.delete_volume import DeleteVolume
from pileus.volume.sagas.groups import CreateGroup, CreateGroupSnapshot, DeleteGroup, DeleteGroupSnapshot
from pileus.volume.sagas.move_volume import Move
from pileus.volume.sagas.snapshots import CreateSnapshot, DeleteSnapshot
from pileus.volume.versions import LEDGER

SERVICE = Service(
    name="volume", type="block-storage", ledger=LEDGER, metadata=tables.metadata, migrations=migrations,
    routes=Routes(discovery.routes, volumes.routes, volume_create.routes, volume_actions.routes,
                  volume_admin_actions.routes, connections.routes, metadata.routes, snapshots.routes, types.routes,
                  type_extras.routes, qos.routes, attachments.routes, backups.routes, transfers.routes, quotas.routes,
                  services.routes, messages.routes, group_types.routes, groups.routes, group_snapshots.routes,
                  consistency_groups.routes,
                  manage.routes, log_levels.routes, operations.routes),
    envelope=envelope, page_links=page_links, path=without_project, admit=must_match,
    sagas=(CreateVolume, DeleteVolume, ExtendVolume, Revert, Upload, Reimage, Move, Manage, CreateSnapshot,
           DeleteSnapshot, CreateBackup, Restore, DeleteBackup, CreateGroup, DeleteGroup, CreateGroupSnapshot,
           DeleteGroupSnapshot),
    reconcilers=(old_messages, keys_of_images, orphaned_exports, operations.forgotten_sagas),
    handlers=conductor.handlers, topic=CONDUCTOR)
