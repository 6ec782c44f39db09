"""Trunks and their subports.

Expand only: code of the previous release neither reads nor writes what is added.
"""

import sqlalchemy as sa


def standard():
    return (
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.String(255), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
    )


def table(op, name, *more):
    op.create_table(name, *standard(), *more, sa.PrimaryKeyConstraint("id", name=f"{name}_pk"))
    op.create_index(f"{name}_by_project", name, ["project_id", "id"])


def upgrade(op):
    table(
        op, "trunk",
        sa.Column("port_id", sa.String(36), nullable=False),
        sa.Column("admin_state_up", sa.Boolean, nullable=False),
        sa.ForeignKeyConstraint(["port_id"], ["port.id"], name="trunk_port_id_fk"),
        sa.UniqueConstraint("port_id", name="trunk_port_id_uq"))
    op.create_table(
        "subport",
        sa.Column("port_id", sa.String(36), nullable=False),
        sa.Column("trunk_id", sa.String(36), nullable=False),
        sa.Column("segmentation_type", sa.String(16), nullable=False),
        sa.Column("segmentation_id", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("port_id", name="subport_pk"),
        sa.ForeignKeyConstraint(["port_id"], ["port.id"], name="subport_port_id_fk"),
        sa.ForeignKeyConstraint(["trunk_id"], ["trunk.id"], name="subport_trunk_id_fk", ondelete="CASCADE"),
        sa.UniqueConstraint("trunk_id", "segmentation_type", "segmentation_id",
                            name="subport_trunk_id_segmentation_type_segmentation_id_uq"))
