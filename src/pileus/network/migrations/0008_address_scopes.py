"""Address scopes, which subnet pools may be in.

Expand only: code of the previous release neither reads nor writes what is added.
"""

from importlib import import_module

import sqlalchemy as sa

refer = import_module("pileus.network.migrations.0002_address_groups_and_forwarding").refer
table = import_module("pileus.network.migrations.0007_trunks").table


def upgrade(op):
    table(
        op, "address_scope",
        sa.Column("ip_version", sa.Integer, nullable=False),
        sa.Column("shared", sa.Boolean, nullable=False))
    refer(op, "subnetpool", "address_scope_id", "address_scope")
