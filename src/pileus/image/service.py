"""Everything the image service consists of."""

from __future__ import annotations

from pileus.image import migrations
from pileus.image.access import COMMUNITIZE_IMAGE, COPY_IMAGE, GET_LOCATION, PUBLICIZE_IMAGE, SET_LOCATION
from pileus.image.answers import envelope
from pileus.image.api import (
    cache,
    files,
    images,
    imports,
    locations,
    members,
    metadef_entries,
    metadef_namespaces,
    root,
    stores,
    tags,
    tasks,
)
from pileus.image.model.tables import metadata
from pileus.image.reconcilers.cached_images import cached_images
from pileus.image.reconcilers.stored_data import abandoned_uploads, orphaned_data
from pileus.image.sagas.add_location import AddLocation
from pileus.image.sagas.import_image import ImportImage
from pileus.image.versions import LEDGER
from pileus.kit import operations
from pileus.kit.routes import Routes
from pileus.kit.service import Service

SERVICE = Service(
    name="image", type="image", ledger=LEDGER, metadata=metadata, migrations=migrations,
    routes=Routes(root.routes, images.routes, files.routes, tags.routes, members.routes,
                  metadef_namespaces.routes, metadef_entries.routes,
                  imports.routes, locations.routes, stores.routes, tasks.routes, cache.routes, operations.routes),
    rules=(PUBLICIZE_IMAGE, COMMUNITIZE_IMAGE, COPY_IMAGE, GET_LOCATION, SET_LOCATION),
    sagas=(ImportImage, AddLocation),
    reconcilers=(abandoned_uploads, orphaned_data, cached_images, operations.forgotten_sagas),
    envelope=envelope, body_bytes=1 << 20)
