"""Local IPs and the ports that stand for them.

Expand only: code of the previous release neither reads nor writes what is added.
"""

from importlib import import_module

import sqlalchemy as sa

table = import_module("pileus.network.migrations.0007_trunks").table


def upgrade(op):
    table(
        op, "local_ip",
        sa.Column("network_id", sa.String(36), nullable=False),
        sa.Column("local_port_id", sa.String(36), nullable=False),
        sa.Column("local_ip_address", sa.String(45), nullable=False),
        sa.Column("ip_mode", sa.String(16), nullable=False),
        sa.ForeignKeyConstraint(["local_port_id"], ["port.id"], name="local_ip_local_port_id_fk"))
    op.create_index("local_ip_network_id_ix", "local_ip", ["network_id"])
    op.create_index("local_ip_local_port_id_ix", "local_ip", ["local_port_id"])
    op.create_table(
        "local_ip_association",
        sa.Column("local_ip_id", sa.String(36), nullable=False),
        sa.Column("fixed_port_id", sa.String(36), nullable=False),
        sa.Column("fixed_ip", sa.String(45), nullable=False),
        sa.PrimaryKeyConstraint("local_ip_id", "fixed_port_id", name="local_ip_association_pk"),
        sa.ForeignKeyConstraint(["local_ip_id"], ["local_ip.id"], name="local_ip_association_local_ip_id_fk"),
        sa.ForeignKeyConstraint(["fixed_port_id"], ["port.id"], name="local_ip_association_fixed_port_id_fk",
                                ondelete="CASCADE"))
    op.create_index("local_ip_association_fixed_port_id_ix", "local_ip_association", ["fixed_port_id"])
