"""Routers have more gateways than one.

Expand only: code of the previous release neither reads nor writes what is added.
"""

import sqlalchemy as sa


def upgrade(op):
    op.add_column("router", sa.Column("enable_default_route_ecmp", sa.Boolean))
    op.add_column("router", sa.Column("enable_default_route_bfd", sa.Boolean))
    op.create_table(
        "further_gateway",
        sa.Column("port_id", sa.String(36), nullable=False),
        sa.Column("router_id", sa.String(36), nullable=False),
        sa.Column("network_id", sa.String(36), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("port_id", name="further_gateway_pk"),
        sa.ForeignKeyConstraint(["port_id"], ["port.id"], name="further_gateway_port_id_fk"),
        sa.ForeignKeyConstraint(["router_id"], ["router.id"], name="further_gateway_router_id_fk"),
        sa.ForeignKeyConstraint(["network_id"], ["network.id"], name="further_gateway_network_id_fk"))
    op.create_index("further_gateway_router_id_ix", "further_gateway", ["router_id"])
    op.create_index("further_gateway_network_id_ix", "further_gateway", ["network_id"])
