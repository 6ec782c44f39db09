"""Images name the content that an import makes of what came in, so that nobody takes it for an orphan.

Expand only: code of the previous release makes no such contents.
"""

import sqlalchemy as sa


def upgrade(op):
    op.add_column("image", sa.Column("made_id", sa.String(36), nullable=True))
