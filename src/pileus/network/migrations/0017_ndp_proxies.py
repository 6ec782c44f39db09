"""Routers answer on their external networks for addresses of guests.

Expand only: code of the previous release neither reads nor writes what is added.
"""

from importlib import import_module

import sqlalchemy as sa

table = import_module("pileus.network.migrations.0007_trunks").table


def upgrade(op):
    op.add_column("router", sa.Column("enable_ndp_proxy", sa.Boolean))
    table(
        op, "ndp_proxy",
        sa.Column("router_id", sa.String(36), nullable=False),
        sa.Column("port_id", sa.String(36), nullable=False),
        sa.Column("ip_address", sa.String(45), nullable=False),
        sa.ForeignKeyConstraint(["router_id"], ["router.id"], name="ndp_proxy_router_id_fk"),
        sa.ForeignKeyConstraint(["port_id"], ["port.id"], name="ndp_proxy_port_id_fk", ondelete="CASCADE"),
        sa.UniqueConstraint("router_id", "ip_address", name="ndp_proxy_router_id_ip_address_uq"))
    op.create_index("ndp_proxy_port_id_ix", "ndp_proxy", ["port_id"])
