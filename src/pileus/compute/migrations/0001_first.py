"""Servers, their tags and actions; flavors, key pairs, hosts, quotas."""

import sqlalchemy as sa

from pileus.kit.db import Json, LongText


def upgrade(op):
    op.create_table(
        "server",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.String(255)),
        sa.Column("hostname", sa.String(255), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("power", sa.Integer, nullable=False),
        sa.Column("flavor_id", sa.String(255), nullable=False),
        sa.Column("vcpus", sa.Integer, nullable=False),
        sa.Column("memory_mb", sa.Integer, nullable=False),
        sa.Column("flavor", Json, nullable=False),
        sa.Column("image_id", sa.String(36)),
        sa.Column("image", Json),
        sa.Column("key_name", sa.String(255)),
        sa.Column("key", Json),
        sa.Column("user_data", LongText),
        sa.Column("config_drive", sa.Boolean, nullable=False),
        sa.Column("metadata", Json, nullable=False),
        sa.Column("security_groups", Json, nullable=False),
        sa.Column("nics", Json, nullable=False),
        sa.Column("personality", Json),
        sa.Column("zone", sa.String(255)),
        sa.Column("host", sa.String(255)),
        sa.Column("locked", sa.Boolean, nullable=False),
        sa.Column("locked_reason", sa.String(255)),
        sa.Column("access_ip_v4", sa.String(39)),
        sa.Column("access_ip_v6", sa.String(39)),
        sa.Column("disk_config", sa.String(8), nullable=False),
        sa.Column("reservation_id", sa.String(16), nullable=False),
        sa.Column("launch_index", sa.Integer, nullable=False),
        sa.Column("hints", Json),
        sa.Column("certificates", Json),
        sa.Column("fault", Json),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.Column("launched_at", sa.Double),
        sa.Column("deleted_at", sa.Double),
        sa.Column("alive", sa.Boolean),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="server_pk"),
    )
    op.create_index("server_by_project", "server", ["alive", "project_id", "created_at", "id"])
    op.create_index("server_by_age", "server", ["alive", "created_at", "id"])
    op.create_index("server_by_host", "server", ["host", "alive"])
    op.create_index("server_by_change", "server", ["updated_at"])
    op.create_table(
        "server_tag",
        sa.Column("server_id", sa.String(36), nullable=False),
        sa.Column("tag", sa.String(60), nullable=False),
        sa.PrimaryKeyConstraint("server_id", "tag", name="server_tag_pk"),
    )
    op.create_table(
        "server_action",
        sa.Column("server_id", sa.String(36), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("message", LongText),
        sa.PrimaryKeyConstraint("server_id", "request_id", "action", name="server_action_pk"),
    )
    op.create_index("server_action_by_time", "server_action", ["server_id", "started_at"])
    op.create_table(
        "flavor",
        sa.Column("id", sa.String(255), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("vcpus", sa.Integer, nullable=False),
        sa.Column("memory_mb", sa.Integer, nullable=False),
        sa.Column("disk_gb", sa.Integer, nullable=False),
        sa.Column("ephemeral_gb", sa.Integer, nullable=False),
        sa.Column("swap_mb", sa.Integer, nullable=False),
        sa.Column("rxtx_factor", sa.Double, nullable=False),
        sa.Column("is_public", sa.Boolean, nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("description", LongText),
        sa.Column("extra_specs", Json, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="flavor_pk"),
        sa.UniqueConstraint("name", name="flavor_name_uq"),
    )
    op.create_table(
        "flavor_access",
        sa.Column("flavor_id", sa.String(255), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("flavor_id", "project_id", name="flavor_access_pk"),
    )
    op.create_index("flavor_access_by_project", "flavor_access", ["project_id"])
    op.create_table(
        "keypair",
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("type", sa.String(8), nullable=False),
        sa.Column("fingerprint", sa.String(128), nullable=False),
        sa.Column("public_key", LongText, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("user_id", "name", name="keypair_pk"),
    )
    op.create_table(
        "host",
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("disabled", sa.Boolean, nullable=False),
        sa.Column("disabled_reason", sa.String(255)),
        sa.Column("forced_down", sa.Boolean, nullable=False),
        sa.Column("zone", sa.String(255)),
        sa.Column("facts", Json, nullable=False),
        sa.Column("can", Json, nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("boot_id", sa.String(64), nullable=False),
        sa.Column("seen_at", sa.Double, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("name", name="host_pk"),
        sa.UniqueConstraint("id", name="host_id_uq"),
    )
    op.create_table(
        "quota",
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("resource", sa.String(64), nullable=False),
        sa.Column("hard_limit", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("project_id", "user_id", "resource", name="quota_pk"),
    )
