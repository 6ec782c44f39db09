"""Servers can be rebuilt, rescued, shelved and moved; server groups, aggregates, tokens of consoles.

Expand only: nothing older reads or writes the columns and tables, and a server without their values is one to which
none of that has happened.
"""

import sqlalchemy as sa

from pileus.kit.db import Json

_NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade(op):
    for column in (sa.Column("root", sa.Integer), sa.Column("rescue", Json), sa.Column("moved", Json),
                   sa.Column("shelved", Json), sa.Column("group_id", sa.String(36))):
        op.add_column("server", column)
    op.create_index("server_by_group", "server", ["group_id", "alive"])
    _migrations(op)
    op.create_table(
        "server_group",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("policy", sa.String(32), nullable=False),
        sa.Column("rules", Json, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="server_group_pk"),
    )
    op.create_index("server_group_by_project", "server_group", ["project_id", "created_at", "id"])
    op.create_table(
        "aggregate",
        sa.Column("number", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("metadata", Json, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("number", name="aggregate_pk"),
        sa.UniqueConstraint("id", name="aggregate_id_uq"),
        sa.UniqueConstraint("name", name="aggregate_name_uq"),
    )
    op.create_table(
        "aggregate_host",
        sa.Column("aggregate_id", sa.String(36), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.PrimaryKeyConstraint("aggregate_id", "host", name="aggregate_host_pk"),
    )
    op.create_index("aggregate_host_by_host", "aggregate_host", ["host"])
    op.create_table(
        "console_token",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("server_id", sa.String(36), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="console_token_pk"),
    )
    op.create_index("console_token_by_server", "console_token", ["server_id"])
    op.create_index("console_token_by_time", "console_token", ["expires_at"])


def _migrations(op):
    op.create_table(
        "server_migration",
        sa.Column("number", _NUMBER, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("server_id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("type", sa.String(16), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("source", sa.String(255), nullable=False),
        sa.Column("dest", sa.String(255)),
        sa.Column("old_flavor_id", sa.String(255), nullable=False),
        sa.Column("new_flavor_id", sa.String(255), nullable=False),
        sa.Column("going_on", sa.Boolean),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("number", name="server_migration_pk"),
        sa.UniqueConstraint("id", name="server_migration_id_uq"),
        sa.UniqueConstraint("server_id", "going_on", name="server_migration_server_id_going_on_uq"),
    )
    op.create_index("server_migration_going_on", "server_migration", ["going_on"])
    op.create_index("server_migration_by_change", "server_migration", ["updated_at", "number"])
