"""Volumes, snapshots, types, attachments, backups, groups and what belongs to them."""

import sqlalchemy as sa

from pileus.kit.db import Json, LongText


def upgrade(op):
    op.create_table(
        "backup",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255)),
        sa.Column("description", sa.String(255)),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("volume_id", sa.String(36), nullable=False),
        sa.Column("snapshot_id", sa.String(36)),
        sa.Column("parent_id", sa.String(36)),
        sa.Column("size_gb", sa.Integer, nullable=False),
        sa.Column("object_count", sa.Integer, nullable=False),
        sa.Column("container", sa.String(255)),
        sa.Column("zone", sa.String(255)),
        sa.Column("host", sa.String(255)),
        sa.Column("fail_reason", LongText),
        sa.Column("data_at", sa.Double),
        sa.Column("restore_volume_id", sa.String(36)),
        sa.Column("metadata", Json, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="backup_pk"),
        sa.ForeignKeyConstraint(["parent_id"], ["backup.id"], name="backup_parent_id_fk"),
    )
    op.create_index("backup_by_age", "backup", ["created_at", "id"])
    op.create_index("backup_by_parent", "backup", ["parent_id"])
    op.create_index("backup_by_project", "backup", ["project_id", "created_at", "id"])
    op.create_index("backup_by_volume", "backup", ["volume_id", "created_at"])
    op.create_table(
        "group_type",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.String(255)),
        sa.Column("is_public", sa.Boolean, nullable=False),
        sa.Column("group_specs", Json, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="group_type_pk"),
        sa.UniqueConstraint("name", name="group_type_name_uq"),
    )
    op.create_table(
        "message",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("resource_type", sa.String(64), nullable=False),
        sa.Column("resource_id", sa.String(36)),
        sa.Column("action", sa.String(8), nullable=False),
        sa.Column("detail", sa.String(8), nullable=False),
        sa.Column("text", LongText),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="message_pk"),
    )
    op.create_index("message_by_age", "message", ["created_at", "id"])
    op.create_index("message_by_project", "message", ["project_id", "created_at", "id"])
    op.create_table(
        "property",
        sa.Column("owner_id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("value", sa.String(255), nullable=False),
        sa.PrimaryKeyConstraint("owner_id", "name", name="property_pk"),
    )
    op.create_index("property_by_name", "property", ["name"])
    op.create_table(
        "qos",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("consumer", sa.String(16), nullable=False),
        sa.Column("specs", Json, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="qos_pk"),
        sa.UniqueConstraint("name", name="qos_name_uq"),
    )
    op.create_table(
        "quota",
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("resource", sa.String(255), nullable=False),
        sa.Column("hard_limit", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("project_id", "resource", name="quota_pk"),
    )
    op.create_table(
        "service",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("binary", sa.String(32), nullable=False),
        sa.Column("zone", sa.String(255), nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("disabled_reason", sa.String(255)),
        sa.Column("frozen", sa.Boolean, nullable=False),
        sa.Column("seen_at", sa.Double, nullable=False),
        sa.Column("facts", Json),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="service_pk"),
        sa.UniqueConstraint("host", "binary", name="service_host_binary_uq"),
    )
    op.create_table(
        "volume_type",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.String(255)),
        sa.Column("is_public", sa.Boolean, nullable=False),
        sa.Column("extra_specs", Json, nullable=False),
        sa.Column("qos_id", sa.String(36)),
        sa.Column("encryption", Json),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="volume_type_pk"),
        sa.UniqueConstraint("name", name="volume_type_name_uq"),
    )
    op.create_index("volume_type_qos_id_ix", "volume_type", ["qos_id"])
    op.create_table(
        "default_type",
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("type_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("project_id", name="default_type_pk"),
        sa.ForeignKeyConstraint(["type_id"], ["volume_type.id"], name="default_type_type_id_fk"),
    )
    op.create_index("default_type_by_type", "default_type", ["type_id"])
    op.create_table(
        "type_access",
        sa.Column("type_id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("type_id", "project_id", name="type_access_pk"),
        sa.ForeignKeyConstraint(["type_id"], ["volume_type.id"], name="type_access_type_id_fk", ondelete="CASCADE"),
    )
    op.create_table(
        "volume_group",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255)),
        sa.Column("description", sa.String(255)),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("group_type_id", sa.String(36), nullable=False),
        sa.Column("volume_types", Json, nullable=False),
        sa.Column("zone", sa.String(255)),
        sa.Column("group_snapshot_id", sa.String(36)),
        sa.Column("source_group_id", sa.String(36)),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="volume_group_pk"),
        sa.ForeignKeyConstraint(["group_type_id"], ["group_type.id"], name="volume_group_group_type_id_fk"),
    )
    op.create_index("volume_group_by_project", "volume_group", ["project_id", "created_at", "id"])
    op.create_index("volume_group_by_type", "volume_group", ["group_type_id"])
    op.create_table(
        "group_snapshot",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255)),
        sa.Column("description", sa.String(255)),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("group_id", sa.String(36), nullable=False),
        sa.Column("group_type_id", sa.String(36), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="group_snapshot_pk"),
        sa.ForeignKeyConstraint(["group_id"], ["volume_group.id"], name="group_snapshot_group_id_fk"),
    )
    op.create_index("group_snapshot_by_group", "group_snapshot", ["group_id"])
    op.create_index("group_snapshot_by_project", "group_snapshot", ["project_id", "created_at", "id"])
    op.create_table(
        "volume",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255)),
        sa.Column("description", sa.String(255)),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("previous_status", sa.String(32)),
        sa.Column("migration_status", sa.String(32)),
        sa.Column("size_gb", sa.Integer, nullable=False),
        sa.Column("type_id", sa.String(36), nullable=False),
        sa.Column("zone", sa.String(255), nullable=False),
        sa.Column("host", sa.String(255)),
        sa.Column("bootable", sa.Boolean, nullable=False),
        sa.Column("read_only", sa.Boolean),
        sa.Column("multiattach", sa.Boolean, nullable=False),
        sa.Column("encrypted", sa.Boolean, nullable=False),
        sa.Column("encryption_key_id", sa.String(36)),
        sa.Column("snapshot_id", sa.String(36)),
        sa.Column("source_volume_id", sa.String(36)),
        sa.Column("group_id", sa.String(36)),
        sa.Column("metadata", Json, nullable=False),
        sa.Column("image_metadata", Json),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="volume_pk"),
        sa.ForeignKeyConstraint(["group_id"], ["volume_group.id"], name="volume_group_id_fk"),
        sa.ForeignKeyConstraint(["type_id"], ["volume_type.id"], name="volume_type_id_fk"),
    )
    op.create_index("volume_by_age", "volume", ["created_at", "id"])
    op.create_index("volume_by_group", "volume", ["group_id"])
    op.create_index("volume_by_host", "volume", ["host"])
    op.create_index("volume_by_project", "volume", ["project_id", "created_at", "id"])
    op.create_index("volume_by_type", "volume", ["type_id"])
    op.create_table(
        "attachment",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("volume_id", sa.String(36), nullable=False),
        sa.Column("server_id", sa.String(64)),
        sa.Column("host", sa.String(255)),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("mode", sa.String(4)),
        sa.Column("mountpoint", sa.String(255)),
        sa.Column("connector", Json),
        sa.Column("connection", Json),
        sa.Column("exclusive", sa.String(36)),
        sa.Column("attached_at", sa.Double),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="attachment_pk"),
        sa.ForeignKeyConstraint(["volume_id"], ["volume.id"], name="attachment_volume_id_fk"),
        sa.UniqueConstraint("exclusive", name="attachment_exclusive_uq"),
        sa.UniqueConstraint("volume_id", "server_id", name="attachment_volume_id_server_id_uq"),
    )
    op.create_index("attachment_by_project", "attachment", ["project_id", "created_at", "id"])
    op.create_index("attachment_by_server", "attachment", ["server_id"])
    op.create_table(
        "snapshot",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255)),
        sa.Column("description", sa.String(255)),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("volume_id", sa.String(36), nullable=False),
        sa.Column("size_gb", sa.Integer, nullable=False),
        sa.Column("progress", sa.Integer, nullable=False),
        sa.Column("type_id", sa.String(36), nullable=False),
        sa.Column("group_snapshot_id", sa.String(36)),
        sa.Column("name_id", sa.String(255)),
        sa.Column("metadata", Json, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="snapshot_pk"),
        sa.ForeignKeyConstraint(["volume_id"], ["volume.id"], name="snapshot_volume_id_fk"),
    )
    op.create_index("snapshot_by_age", "snapshot", ["created_at", "id"])
    op.create_index("snapshot_by_group_snapshot", "snapshot", ["group_snapshot_id"])
    op.create_index("snapshot_by_project", "snapshot", ["project_id", "created_at", "id"])
    op.create_index("snapshot_by_volume", "snapshot", ["volume_id", "created_at"])
    op.create_table(
        "transfer",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("volume_id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(255)),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("destination_project_id", sa.String(64)),
        sa.Column("salt", sa.String(32), nullable=False),
        sa.Column("key_hash", sa.String(64), nullable=False),
        sa.Column("no_snapshots", sa.Boolean, nullable=False),
        sa.Column("accepted", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="transfer_pk"),
        sa.ForeignKeyConstraint(["volume_id"], ["volume.id"], name="transfer_volume_id_fk", ondelete="CASCADE"),
    )
    op.create_index("transfer_by_project", "transfer", ["project_id", "created_at", "id"])
    op.create_index("transfer_by_volume", "transfer", ["volume_id"])
