"""What volumes remember of their images can be searched for; backups of encrypted volumes have keys.

Expand only: volumes that the previous release makes or changes meanwhile are not found by their images.
"""

import msgspec
import sqlalchemy as sa

from pileus.kit.db import LongText


def upgrade(op):
    op.add_column("backup", sa.Column("encryption_key_id", sa.String(36)))
    table = op.create_table(
        "image_property",
        sa.Column("owner_id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("value", LongText, nullable=False),
        sa.PrimaryKeyConstraint("owner_id", "name", name="image_property_pk"),
    )
    op.create_index("image_property_by_name", "image_property", ["name"])
    volume = sa.table("volume", sa.column("id"), sa.column("image_metadata"))
    known = op.get_bind().execute(sa.select(volume).where(volume.c.image_metadata.is_not(None))).all()
    rows = [{"owner_id": row.id, "name": name, "value": value} for row in known
            for name, value in msgspec.json.decode(row.image_metadata, type=dict[str, str]).items()]
    if rows:
        op.bulk_insert(table, rows)
