"""Servers remember the tags of their disks (microversion 2.42).

Expand only: a server without the column's value has no tagged disk, so nothing has to be filled in.
"""

import sqlalchemy as sa

from pileus.kit.db import Json


def upgrade(op):
    op.add_column("server", sa.Column("disk_tags", Json, nullable=True))
