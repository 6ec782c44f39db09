"""Metadata definitions, with a catalogue of the properties this cloud knows.

Expand only: no code of the previous release reads these tables.
"""

import time
import uuid

import sqlalchemy as sa

from pileus.image.migrations.catalogue import NAMESPACES
from pileus.kit.db import Json


def upgrade(op):
    namespaces, entries, types, associations = _tables(op)
    now, known = time.time(), set()
    for name, title, text, kinds, properties in NAMESPACES:
        namespace_id = str(uuid.uuid4())
        op.bulk_insert(namespaces, [{
            "id": namespace_id, "namespace": name, "display_name": title, "description": text, "visibility": "public",
            "protected": True, "owner": "admin", "created_at": now, "updated_at": now, "generation": 1}])
        op.bulk_insert(entries, [{
            "id": str(uuid.uuid4()), "namespace_id": namespace_id, "kind": "property", "name": each["name"],
            "content": {key: value for key, value in each.items() if key != "name"}, "created_at": now,
            "updated_at": now, "generation": 1} for each in properties])
        op.bulk_insert(types, [{"name": kind, "created_at": now, "updated_at": now}
                               for kind, _, _ in kinds if kind not in known])
        known |= {kind for kind, _, _ in kinds}
        op.bulk_insert(associations, [{
            "namespace_id": namespace_id, "resource_type": kind, "prefix": prefix, "properties_target": target,
            "created_at": now, "updated_at": now} for kind, prefix, target in kinds])


def _times():
    return sa.Column("created_at", sa.Double, nullable=False), sa.Column("updated_at", sa.Double, nullable=False)


def _tables(op):
    namespaces = op.create_table(
        "metadef_namespace",
        sa.Column("id", sa.String(36), nullable=False), sa.Column("namespace", sa.String(80), nullable=False),
        sa.Column("display_name", sa.String(80)), sa.Column("description", sa.String(500)),
        sa.Column("visibility", sa.String(16), nullable=False), sa.Column("protected", sa.Boolean, nullable=False),
        sa.Column("owner", sa.String(255), nullable=False), *_times(),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="metadef_namespace_pk"),
        sa.UniqueConstraint("namespace", name="metadef_namespace_namespace_uq"))
    op.create_index("metadef_namespace_by_age", "metadef_namespace", ["created_at", "namespace"])
    entries = op.create_table(
        "metadef_entry",
        sa.Column("id", sa.String(36), nullable=False), sa.Column("namespace_id", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False), sa.Column("name", sa.String(80), nullable=False),
        sa.Column("content", Json, nullable=False), *_times(), sa.Column("generation", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="metadef_entry_pk"),
        sa.UniqueConstraint("namespace_id", "kind", "name", name="metadef_entry_namespace_id_kind_name_uq"),
        sa.ForeignKeyConstraint(["namespace_id"], ["metadef_namespace.id"], name="metadef_entry_namespace_id_fk",
                                ondelete="CASCADE"))
    op.create_index("metadef_entry_by_age", "metadef_entry", ["namespace_id", "kind", "created_at", "name"])
    types = op.create_table(
        "metadef_resource_type", sa.Column("name", sa.String(80), nullable=False), *_times(),
        sa.PrimaryKeyConstraint("name", name="metadef_resource_type_pk"))
    associations = op.create_table(
        "metadef_association",
        sa.Column("namespace_id", sa.String(36), nullable=False),
        sa.Column("resource_type", sa.String(80), nullable=False), sa.Column("prefix", sa.String(80)),
        sa.Column("properties_target", sa.String(80)), *_times(),
        sa.PrimaryKeyConstraint("namespace_id", "resource_type", name="metadef_association_pk"),
        sa.ForeignKeyConstraint(["namespace_id"], ["metadef_namespace.id"],
                                name="metadef_association_namespace_id_fk", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["resource_type"], ["metadef_resource_type.name"],
                                name="metadef_association_resource_type_fk"))
    op.create_index("metadef_association_by_type", "metadef_association", ["resource_type"])
    return namespaces, entries, types, associations
