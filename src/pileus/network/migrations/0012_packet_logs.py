"""Logs of what security groups let through and drop.

Expand only: code of the previous release neither reads nor writes what is added.
"""

from importlib import import_module

import sqlalchemy as sa

table = import_module("pileus.network.migrations.0007_trunks").table


def upgrade(op):
    table(
        op, "log",
        sa.Column("resource_type", sa.String(255), nullable=False),
        sa.Column("resource_id", sa.String(36)),
        sa.Column("target_id", sa.String(36)),
        sa.Column("event", sa.String(16), nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.ForeignKeyConstraint(["resource_id"], ["security_group.id"], name="log_resource_id_fk", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["target_id"], ["port.id"], name="log_target_id_fk", ondelete="CASCADE"))
    op.create_index("log_resource_id_ix", "log", ["resource_id"])
    op.create_index("log_target_id_ix", "log", ["target_id"])
