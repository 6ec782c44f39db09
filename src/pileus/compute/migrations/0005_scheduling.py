"""Hosts count builds that failed in a row; servers of a group keep the host they were promised to.

Expand only: without the columns' values no build failed, and no server waits for its host.
"""

import sqlalchemy as sa


def upgrade(op):
    op.add_column("host", sa.Column("failed_builds", sa.Integer, nullable=True))
    op.add_column("server", sa.Column("place", sa.String(255), nullable=True))
