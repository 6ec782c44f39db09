"""Flavors of network services, and the profiles they are made of.

Expand only: code of the previous release neither reads nor writes what is added.
"""

from importlib import import_module

import sqlalchemy as sa

table = import_module("pileus.network.migrations.0007_trunks").table


def upgrade(op):
    table(
        op, "flavor",
        sa.Column("service_type", sa.String(36), nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False))
    table(
        op, "service_profile",
        sa.Column("driver", sa.String(255), nullable=False),
        sa.Column("metainfo", sa.String(4095), nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False))
    op.create_table(
        "flavor_service_profile",
        sa.Column("flavor_id", sa.String(36), nullable=False),
        sa.Column("service_profile_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("flavor_id", "service_profile_id", name="flavor_service_profile_pk"),
        sa.ForeignKeyConstraint(["flavor_id"], ["flavor.id"], name="flavor_service_profile_flavor_id_fk",
                                ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["service_profile_id"], ["service_profile.id"],
                                name="flavor_service_profile_service_profile_id_fk"))
    op.create_index("flavor_service_profile_service_profile_id_ix", "flavor_service_profile", ["service_profile_id"])
