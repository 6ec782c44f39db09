"""Trusts may be handed on."""

import sqlalchemy as sa


def upgrade(op):
    op.add_column("trust", sa.Column("allow_redelegation", sa.Boolean, nullable=True))
    op.add_column("trust", sa.Column("redelegation_count", sa.Integer, nullable=True))
    op.add_column("trust", sa.Column("redelegated_trust_id", sa.String(64), nullable=True))
