"""Boxes."""

import sqlalchemy as sa


def upgrade(op):
    op.create_table(
        "box",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("color", sa.String(16)),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="box_pk"),
        sa.UniqueConstraint("project_id", "name", name="box_project_id_name_uq"),
    )
