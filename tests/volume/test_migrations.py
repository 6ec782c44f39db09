"""What a migration makes of volumes that are there."""

from __future__ import annotations

import importlib

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

from pileus.volume.model import tables, volumes

MODULE = "pileus.volume.migrations.0003_image_properties"
PROPERTIES = tables.image_properties


async def test_what_volumes_remember_of_images_is_found_afterwards(world):
    image = "22222222-0000-4000-8000-000000000001"
    world.image.contents[image] = b"image"
    volume, _ = await world.volume(1, imageRef=image), await world.volume(1)

    def again(conn):
        operations = Operations(MigrationContext.configure(conn))
        operations.drop_table("image_property")
        operations.drop_column("backup", "encryption_key_id")
        importlib.import_module(MODULE).upgrade(operations)
    async with world.db.write() as tx:
        await tx.run_sync(again)
    async with world.db.read() as reader:
        row = await volumes.get(reader, volume)
        found = (await reader.execute(sa.select(PROPERTIES.c.owner_id, PROPERTIES.c.name, PROPERTIES.c.value))).all()
    assert sorted(found) == sorted((volume, name, value) for name, value in (row.image_metadata or {}).items())
    assert len(found) > 5
