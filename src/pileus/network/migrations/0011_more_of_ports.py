"""What more is told of ports, subnets and agents.

Expand only: code of the previous release neither reads nor writes what is added.
"""

import sqlalchemy as sa

from pileus.kit.db import Json


def upgrade(op):
    op.add_column("port", sa.Column("propagate_uplink_status", sa.Boolean))
    op.add_column("port", sa.Column("hints", Json))
    op.add_column("port", sa.Column("data_plane_status", sa.String(16)))
    op.add_column("subnet", sa.Column("service_types", Json))
    op.create_table(
        "agent",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("admin_state_up", sa.Boolean, nullable=False),
        sa.Column("description", sa.String(255), nullable=False),
        sa.PrimaryKeyConstraint("id", name="agent_pk"))
    _describe_first_templates(op)


def _describe_first_templates(op):
    """Those that every cloud began with, unless the administrator took them away."""
    templates = sa.table("default_security_group_rule", *map(sa.column, ("id", "direction", "description")))
    for direction in ("egress", "ingress"):
        op.execute(templates.update().where(
            templates.c.id.like("00000000-0000-4000-8000-%"), templates.c.direction == direction,
            templates.c.description == "").values(description=f"Legacy default SG rule for {direction} traffic"))
