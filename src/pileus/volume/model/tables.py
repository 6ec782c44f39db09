"""Tables of the volume service."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Json

metadata = db.metadata()


def _id(name: str = "id", **more: Any) -> sa.Column[Any]:
    return sa.Column(name, sa.String(36), **more)


def _text(name: str, length: int = 255, **more: Any) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length), **more)


def _born() -> list[sa.Column[Any]]:
    return [sa.Column("created_at", sa.Double, nullable=False), sa.Column("updated_at", sa.Double),
            sa.Column("generation", sa.Integer, nullable=False)]


def _owned() -> list[sa.Column[Any]]:
    return [_id(primary_key=True), _text("project_id", 64, nullable=False), _text("user_id", 64, nullable=False),
            _text("name"), _text("description"), _text("status", 32, nullable=False)]


types = sa.Table(
    "volume_type", metadata, _id(primary_key=True), _text("name", nullable=False, unique=True), _text("description"),
    sa.Column("is_public", sa.Boolean, nullable=False), sa.Column("extra_specs", Json, nullable=False),
    _id("qos_id", index=True), sa.Column("encryption", Json), *_born())

type_access = sa.Table(
    "type_access", metadata,
    _id("type_id", primary_key=True), _text("project_id", 64, primary_key=True),
    sa.ForeignKeyConstraint(["type_id"], ["volume_type.id"], ondelete="CASCADE"))

default_types = sa.Table(
    "default_type", metadata, _text("project_id", 64, primary_key=True), _id("type_id", nullable=False),
    sa.ForeignKeyConstraint(["type_id"], ["volume_type.id"]), sa.Index("default_type_by_type", "type_id"))

qos = sa.Table(
    "qos", metadata, _id(primary_key=True), _text("name", nullable=False, unique=True),
    _text("consumer", 16, nullable=False), sa.Column("specs", Json, nullable=False), *_born())

group_types = sa.Table(
    "group_type", metadata, _id(primary_key=True), _text("name", nullable=False, unique=True), _text("description"),
    sa.Column("is_public", sa.Boolean, nullable=False), sa.Column("group_specs", Json, nullable=False), *_born())

groups = sa.Table(
    "volume_group", metadata, *_owned(), _id("group_type_id", nullable=False),
    sa.Column("volume_types", Json, nullable=False), _text("zone"), _id("group_snapshot_id"), _id("source_group_id"),
    *_born(), sa.ForeignKeyConstraint(["group_type_id"], ["group_type.id"]),
    sa.Index("volume_group_by_project", "project_id", "created_at", "id"),
    sa.Index("volume_group_by_type", "group_type_id"))

group_snapshots = sa.Table(
    "group_snapshot", metadata, *_owned(), _id("group_id", nullable=False), _id("group_type_id", nullable=False),
    *_born(), sa.ForeignKeyConstraint(["group_id"], ["volume_group.id"]),
    sa.Index("group_snapshot_by_project", "project_id", "created_at", "id"),
    sa.Index("group_snapshot_by_group", "group_id"))

volumes = sa.Table(
    "volume", metadata, *_owned(), _text("previous_status", 32), _text("migration_status", 32),
    sa.Column("size_gb", sa.Integer, nullable=False), _id("type_id", nullable=False), _text("zone", nullable=False),
    _text("host"), sa.Column("bootable", sa.Boolean, nullable=False), sa.Column("read_only", sa.Boolean),
    sa.Column("multiattach", sa.Boolean, nullable=False), sa.Column("encrypted", sa.Boolean, nullable=False),
    _id("encryption_key_id"), _id("snapshot_id"), _id("source_volume_id"), _id("group_id"),
    sa.Column("metadata", Json, nullable=False), sa.Column("image_metadata", Json),
    *_born(), sa.ForeignKeyConstraint(["type_id"], ["volume_type.id"]),
    sa.ForeignKeyConstraint(["group_id"], ["volume_group.id"]),
    sa.Index("volume_by_age", "created_at", "id"), sa.Index("volume_by_project", "project_id", "created_at", "id"),
    sa.Index("volume_by_host", "host"), sa.Index("volume_by_type", "type_id"), sa.Index("volume_by_group", "group_id"))

snapshots = sa.Table(
    "snapshot", metadata, *_owned(), _id("volume_id", nullable=False), sa.Column("size_gb", sa.Integer, nullable=False),
    sa.Column("progress", sa.Integer, nullable=False), _id("type_id", nullable=False), _id("group_snapshot_id"),
    _text("name_id"), sa.Column("metadata", Json, nullable=False), *_born(),
    sa.ForeignKeyConstraint(["volume_id"], ["volume.id"]),                    # no volume goes before its snapshots
    sa.Index("snapshot_by_age", "created_at", "id"), sa.Index("snapshot_by_project", "project_id", "created_at", "id"),
    sa.Index("snapshot_by_volume", "volume_id", "created_at"),
    sa.Index("snapshot_by_group_snapshot", "group_snapshot_id"))

properties = sa.Table(                  # metadata of volumes and snapshots once more, to be searched
    "property", metadata,
    _id("owner_id", primary_key=True), _text("name", primary_key=True), _text("value", nullable=False),
    sa.Index("property_by_name", "name"))

image_properties = sa.Table(            # what volumes remember of their images once more, to be searched
    "image_property", metadata,
    _id("owner_id", primary_key=True), _text("name", primary_key=True), sa.Column("value", db.LongText, nullable=False),
    sa.Index("image_property_by_name", "name"))

encryption_keys = sa.Table(             # sealed with a key that is not in the database
    "encryption_key", metadata, _id(primary_key=True), sa.Column("sealed", sa.Text, nullable=False))

attachments = sa.Table(                 # one row per attachment, the one truth for both APIs
    "attachment", metadata, _id(primary_key=True), _text("project_id", 64, nullable=False),
    _id("volume_id", nullable=False), _text("server_id", 64), _text("host"), _text("status", 16, nullable=False),
    _text("mode", 4), _text("mountpoint"), sa.Column("connector", Json), sa.Column("connection", Json),
    # Equal to the volume's id unless it may be attached more than once: the database refuses a second attachment.
    _id("exclusive", unique=True), sa.Column("attached_at", sa.Double), *_born(),
    sa.ForeignKeyConstraint(["volume_id"], ["volume.id"]), sa.UniqueConstraint("volume_id", "server_id"),
    sa.Index("attachment_by_project", "project_id", "created_at", "id"),
    sa.Index("attachment_by_server", "server_id"))

backups = sa.Table(
    "backup", metadata, *_owned(), _id("volume_id", nullable=False), _id("snapshot_id"), _id("parent_id"),
    sa.Column("size_gb", sa.Integer, nullable=False), sa.Column("object_count", sa.Integer, nullable=False),
    _text("container"), _text("zone"), _text("host"), sa.Column("fail_reason", db.LongText),
    sa.Column("data_at", sa.Double), _id("restore_volume_id"), sa.Column("metadata", Json, nullable=False), *_born(),
    _id("encryption_key_id"),
    sa.ForeignKeyConstraint(["parent_id"], ["backup.id"]),                    # no backup goes before its increments
    sa.Index("backup_by_age", "created_at", "id"), sa.Index("backup_by_project", "project_id", "created_at", "id"),
    sa.Index("backup_by_volume", "volume_id", "created_at"), sa.Index("backup_by_parent", "parent_id"))

transfers = sa.Table(
    "transfer", metadata, _id(primary_key=True), _id("volume_id", nullable=False), _text("name"),
    _text("project_id", 64, nullable=False), _text("destination_project_id", 64), _text("salt", 32, nullable=False),
    _text("key_hash", 64, nullable=False), sa.Column("no_snapshots", sa.Boolean, nullable=False),
    sa.Column("accepted", sa.Boolean, nullable=False), *_born(),
    sa.ForeignKeyConstraint(["volume_id"], ["volume.id"], ondelete="CASCADE"),
    sa.Index("transfer_by_project", "project_id", "created_at", "id"), sa.Index("transfer_by_volume", "volume_id"))

notices = sa.Table(
    "message", metadata, _id(primary_key=True), _text("project_id", 64, nullable=False),
    _text("request_id", 64, nullable=False), _text("resource_type", 64, nullable=False), _id("resource_id"),
    _text("action", 8, nullable=False), _text("detail", 8, nullable=False), sa.Column("text", db.LongText),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Index("message_by_age", "created_at", "id"), sa.Index("message_by_project", "project_id", "created_at", "id"))

quotas = sa.Table(
    "quota", metadata, _text("project_id", 64, primary_key=True), _text("resource", 255, primary_key=True),
    sa.Column("hard_limit", sa.BigInteger, nullable=False))

services = sa.Table(                    # what was heard of: back ends (with what they can), schedulers, backups
    "service", metadata, _id(primary_key=True), _text("host", nullable=False), _text("binary", 32, nullable=False),
    _text("zone", nullable=False), sa.Column("disabled", sa.Boolean, nullable=False), _text("disabled_reason"),
    sa.Column("frozen", sa.Boolean, nullable=False), sa.Column("seen_at", sa.Double, nullable=False),
    sa.Column("facts", Json), *_born(), sa.UniqueConstraint("host", "binary"))
