"""Images, their tags, properties and members."""

import sqlalchemy as sa

from pileus.kit.db import LongText


def upgrade(op):
    op.create_table(
        "image",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(255)),
        sa.Column("owner", sa.String(255)),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("visibility", sa.String(16), nullable=False),
        sa.Column("disk_format", sa.String(20)),
        sa.Column("container_format", sa.String(20)),
        sa.Column("size", sa.BigInteger),
        sa.Column("virtual_size", sa.BigInteger),
        sa.Column("checksum", sa.String(32)),
        sa.Column("os_hash_algo", sa.String(16)),
        sa.Column("os_hash_value", sa.String(128)),
        sa.Column("min_disk", sa.Integer, nullable=False),
        sa.Column("min_ram", sa.Integer, nullable=False),
        sa.Column("protected", sa.Boolean, nullable=False),
        sa.Column("os_hidden", sa.Boolean, nullable=False),
        sa.Column("store", sa.String(64)),
        sa.Column("data_id", sa.String(36)),
        sa.Column("busy_until", sa.Double, nullable=False),
        sa.Column("tags", LongText, nullable=False),
        sa.Column("properties", LongText, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="image_pk"),
    )
    op.create_index("image_by_age", "image", ["created_at", "id"])
    op.create_index("image_by_owner", "image", ["owner", "created_at", "id"])
    op.create_index("image_by_status", "image", ["status", "busy_until"])
    op.create_index("image_by_visibility", "image", ["visibility", "created_at", "id"])
    op.create_table(
        "image_member",
        sa.Column("image_id", sa.String(36), nullable=False),
        sa.Column("member_id", sa.String(255), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("image_id", "member_id", name="image_member_pk"),
        sa.ForeignKeyConstraint(["image_id"], ["image.id"], name="image_member_image_id_fk", ondelete="CASCADE"),
    )
    op.create_index("image_member_by_member", "image_member", ["member_id", "status"])
    op.create_table(
        "image_property",
        sa.Column("image_id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("value", LongText, nullable=False),
        sa.PrimaryKeyConstraint("image_id", "name", name="image_property_pk"),
        sa.ForeignKeyConstraint(["image_id"], ["image.id"], name="image_property_image_id_fk", ondelete="CASCADE"),
    )
    op.create_index("image_property_by_name", "image_property", ["name"])
    op.create_table(
        "image_tag",
        sa.Column("image_id", sa.String(36), nullable=False),
        sa.Column("tag", sa.String(255), nullable=False),
        sa.PrimaryKeyConstraint("image_id", "tag", name="image_tag_pk"),
        sa.ForeignKeyConstraint(["image_id"], ["image.id"], name="image_tag_image_id_fk", ondelete="CASCADE"),
    )
    op.create_index("image_tag_by_tag", "image_tag", ["tag"])
