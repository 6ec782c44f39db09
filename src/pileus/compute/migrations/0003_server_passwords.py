"""Guests can leave their password, encrypted by themselves, for their owner.

Expand only: a table that nothing older reads or writes.
"""

import sqlalchemy as sa


def upgrade(op):
    op.create_table(
        "server_password",
        sa.Column("server_id", sa.String(36), nullable=False),
        sa.Column("password", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("server_id"),
    )
