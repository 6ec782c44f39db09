"""The network that a project was given when it asked for any.

Expand only: code of the previous release neither reads nor writes the table.
"""

import sqlalchemy as sa


def upgrade(op):
    op.create_table(
        "auto_allocated_topology",
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("network_id", sa.String(36), nullable=False),
        sa.Column("router_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("project_id", name="auto_allocated_topology_pk"),
        sa.ForeignKeyConstraint(["network_id"], ["network.id"], name="auto_allocated_topology_network_id_fk",
                                ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["router_id"], ["router.id"], name="auto_allocated_topology_router_id_fk",
                                ondelete="CASCADE"))
    for column in ("network_id", "router_id"):
        op.create_index(f"auto_allocated_topology_{column}_ix", "auto_allocated_topology", [column])
