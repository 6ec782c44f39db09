"""Further hosts that ports are prepared for.

Expand only: code of the previous release neither reads nor writes what is added.
"""

import sqlalchemy as sa

from pileus.kit.db import Json


def upgrade(op):
    op.create_table(
        "port_binding",
        sa.Column("port_id", sa.String(36), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("vnic_type", sa.String(64), nullable=False),
        sa.Column("vif_type", sa.String(64), nullable=False),
        sa.Column("vif_details", Json, nullable=False),
        sa.Column("profile", Json, nullable=False),
        sa.PrimaryKeyConstraint("port_id", "host", name="port_binding_pk"),
        sa.ForeignKeyConstraint(["port_id"], ["port.id"], name="port_binding_port_id_fk", ondelete="CASCADE"))
