"""Routers read along with protocols whose connections open others.

Expand only: code of the previous release neither reads nor writes what is added.
"""

from importlib import import_module

import sqlalchemy as sa

table = import_module("pileus.network.migrations.0007_trunks").table


def upgrade(op):
    table(
        op, "conntrack_helper",
        sa.Column("router_id", sa.String(36), nullable=False),
        sa.Column("protocol", sa.String(8), nullable=False),
        sa.Column("port", sa.Integer, nullable=False),
        sa.Column("helper", sa.String(16), nullable=False),
        sa.ForeignKeyConstraint(["router_id"], ["router.id"], name="conntrack_helper_router_id_fk", ondelete="CASCADE"),
        sa.UniqueConstraint("router_id", "protocol", "port", name="conntrack_helper_router_id_protocol_port_uq"))
