"""Tables of the image service."""

from __future__ import annotations

import sqlalchemy as sa

from pileus.kit import db

metadata = db.metadata()

images = sa.Table(
    "image", metadata,
    sa.Column("id", sa.String(36), primary_key=True),
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
    sa.Column("data_id", sa.String(36)),                 # the name of its bytes in the store; new with each upload
    sa.Column("busy_until", sa.Double, nullable=False),  # an upload that goes on renews it
    sa.Column("tags", db.Json, nullable=False),          # as shown; image_tag is for finding
    sa.Column("properties", db.Json, nullable=False),    # as shown; image_property is for finding
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("stores", db.Json, nullable=True),         # all that hold the bytes; null: only `store`
    sa.Column("importing_to", db.Json, nullable=True),   # stores an import has yet to bring the bytes to
    sa.Column("failed_import", db.Json, nullable=True),  # stores it could not
    sa.Column("made_id", sa.String(36), nullable=True),  # the content an import makes of what came in
    sa.Column("locations", db.Json, nullable=True),      # of its bytes on web servers
    sa.Index("image_by_age", "created_at", "id"),
    sa.Index("image_by_owner", "owner", "created_at", "id"),
    sa.Index("image_by_visibility", "visibility", "created_at", "id"),
    sa.Index("image_by_status", "status", "busy_until"),
)

tags = sa.Table(
    "image_tag", metadata,
    sa.Column("image_id", sa.String(36), sa.ForeignKey("image.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("tag", sa.String(255), primary_key=True),
    sa.Index("image_tag_by_tag", "tag"),
)

properties = sa.Table(
    "image_property", metadata,
    sa.Column("image_id", sa.String(36), sa.ForeignKey("image.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("name", sa.String(255), primary_key=True),
    sa.Column("value", db.LongText, nullable=False),
    sa.Index("image_property_by_name", "name"),
)

members = sa.Table(
    "image_member", metadata,
    sa.Column("image_id", sa.String(36), sa.ForeignKey("image.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("member_id", sa.String(255), primary_key=True),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
    sa.Index("image_member_by_member", "member_id", "status"),
)

tasks = sa.Table(
    "image_task", metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("type", sa.String(32), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("owner", sa.String(255)),
    sa.Column("user_id", sa.String(255)),
    sa.Column("request_id", sa.String(64), nullable=False),
    sa.Column("image_id", sa.String(36), nullable=False),
    sa.Column("input", db.Json, nullable=False),
    sa.Column("result", db.Json, nullable=True),
    sa.Column("message", db.LongText),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Index("image_task_by_age", "created_at", "id"),
    sa.Index("image_task_by_image", "image_id", "created_at"),
)

cached = sa.Table(
    "image_cached", metadata,
    sa.Column("image_id", sa.String(36), sa.ForeignKey("image.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("status", sa.String(8), nullable=False),
    sa.Column("hits", sa.BigInteger, nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("accessed_at", sa.Double, nullable=False),
    sa.Column("changed_at", sa.Double, nullable=False),
    sa.Index("image_cached_by_access", "status", "accessed_at"),
)

namespaces = sa.Table(
    "metadef_namespace", metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("namespace", sa.String(80), nullable=False, unique=True),
    sa.Column("display_name", sa.String(80)),
    sa.Column("description", sa.String(500)),
    sa.Column("visibility", sa.String(16), nullable=False),
    sa.Column("protected", sa.Boolean, nullable=False),
    sa.Column("owner", sa.String(255), nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Index("metadef_namespace_by_age", "created_at", "namespace"),
)

entries = sa.Table(                                      # what a namespace defines: objects, properties and tags
    "metadef_entry", metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("namespace_id", sa.String(36), sa.ForeignKey("metadef_namespace.id", ondelete="CASCADE"), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("name", sa.String(80), nullable=False),
    sa.Column("content", db.Json, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.UniqueConstraint("namespace_id", "kind", "name"),
    sa.Index("metadef_entry_by_age", "namespace_id", "kind", "created_at", "name"),
)

resource_types = sa.Table(
    "metadef_resource_type", metadata,
    sa.Column("name", sa.String(80), primary_key=True),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
)

associations = sa.Table(
    "metadef_association", metadata,
    sa.Column("namespace_id", sa.String(36), sa.ForeignKey("metadef_namespace.id", ondelete="CASCADE"),
              primary_key=True),
    sa.Column("resource_type", sa.String(80), sa.ForeignKey("metadef_resource_type.name"), primary_key=True),
    sa.Column("prefix", sa.String(80)),
    sa.Column("properties_target", sa.String(80)),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("updated_at", sa.Double, nullable=False),
    sa.Index("metadef_association_by_type", "resource_type"),
)
