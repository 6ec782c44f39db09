"""Whether new security groups are stateful, by project.

Expand only: code of the previous release neither reads nor writes what is added.
"""

from importlib import import_module

import sqlalchemy as sa

table = import_module("pileus.network.migrations.0007_trunks").table


def upgrade(op):
    table(
        op, "default_statefulness",
        sa.Column("stateful", sa.Boolean, nullable=False),
        sa.UniqueConstraint("project_id", name="default_statefulness_project_id_uq"))
