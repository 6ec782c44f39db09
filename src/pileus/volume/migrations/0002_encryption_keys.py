"""Volumes of encrypted types have keys, kept encrypted themselves.

Expand only: a table that nothing older reads or writes.
"""

import sqlalchemy as sa


def upgrade(op):
    op.create_table(
        "encryption_key",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("sealed", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="encryption_key_pk"),
    )
