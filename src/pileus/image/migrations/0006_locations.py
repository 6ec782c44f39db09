"""Images name where their bytes are on web servers.

Expand only: code of the previous release takes images that are nowhere else for ones whose bytes are lost.
"""

import sqlalchemy as sa

from pileus.kit.db import Json


def upgrade(op):
    op.add_column("image", sa.Column("locations", Json, nullable=True))
