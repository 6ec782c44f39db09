"""Hosts that do not serve DHCP of a network.

Expand only: code of the previous release neither reads nor writes the table.
"""

import sqlalchemy as sa


def upgrade(op):
    op.create_table(
        "dhcp_exclusion",
        sa.Column("network_id", sa.String(36), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.PrimaryKeyConstraint("network_id", "host", name="dhcp_exclusion_pk"),
        sa.ForeignKeyConstraint(["network_id"], ["network.id"], name="dhcp_exclusion_network_id_fk",
                                ondelete="CASCADE"))
