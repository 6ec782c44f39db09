"""Images name all stores that hold them and what an import still has to do; tasks tell how imports went.

Expand only: an image whose `stores` is null is in the one store that `store` names, as the previous release writes it.
"""

import sqlalchemy as sa

from pileus.kit.db import Json, LongText


def upgrade(op):
    for name in ("stores", "importing_to", "failed_import"):
        op.add_column("image", sa.Column(name, Json, nullable=True))
    op.create_table(
        "image_task",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("type", sa.String(32), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("owner", sa.String(255)),
        sa.Column("user_id", sa.String(255)),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("image_id", sa.String(36), nullable=False),
        sa.Column("input", Json, nullable=False),
        sa.Column("result", Json, nullable=True),
        sa.Column("message", LongText),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="image_task_pk"))
    op.create_index("image_task_by_age", "image_task", ["created_at", "id"])
    op.create_index("image_task_by_image", "image_task", ["image_id", "created_at"])
