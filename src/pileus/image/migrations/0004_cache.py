"""Which images the cache holds or is to hold.

Expand only: no code of the previous release reads the table.
"""

import sqlalchemy as sa


def upgrade(op):
    op.create_table(
        "image_cached",
        sa.Column("image_id", sa.String(36), nullable=False),
        sa.Column("status", sa.String(8), nullable=False),
        sa.Column("hits", sa.BigInteger, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("accessed_at", sa.Double, nullable=False),
        sa.Column("changed_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("image_id", name="image_cached_pk"),
        sa.ForeignKeyConstraint(["image_id"], ["image.id"], name="image_cached_image_id_fk", ondelete="CASCADE"))
    op.create_index("image_cached_by_access", "image_cached", ["status", "accessed_at"])
