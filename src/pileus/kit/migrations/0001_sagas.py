"""Sagas and their history."""

import sqlalchemy as sa

from pileus.kit.db import LongText


def upgrade(op):
    op.create_table(
        "saga",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("active_subject", sa.String(64)),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("parent", sa.String(36)),
        sa.Column("phase", sa.String(8), nullable=False),
        sa.Column("unwind_asked", sa.Boolean, nullable=False),
        sa.Column("stuck", sa.Boolean, nullable=False),
        sa.Column("step", sa.String(64), nullable=False),
        sa.Column("step_began", sa.Double, nullable=False),
        sa.Column("data", LongText, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("error", LongText),
        sa.Column("wake_at", sa.Double, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("finished_at", sa.Double),
        sa.Column("lease", sa.String(36)),
        sa.Column("lease_until", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="saga_pk"),
        sa.UniqueConstraint("active_subject", name="saga_active_subject_uq"),
    )
    op.create_index("saga_due", "saga", ["phase", "stuck", "wake_at"])
    op.create_index("saga_by_subject", "saga", ["subject", "created_at"])
    op.create_index("saga_by_request", "saga", ["request_id"])
    op.create_index("saga_by_parent", "saga", ["parent"])
    op.create_index("saga_by_finish", "saga", ["finished_at"])
    op.create_table(
        "saga_event",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=True, nullable=False),
        sa.Column("saga_id", sa.String(36), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.Column("saga", sa.String(64), nullable=False),
        sa.Column("step", sa.String(64), nullable=False),
        sa.Column("outcome", sa.String(8), nullable=False),
        sa.Column("began_at", sa.Double, nullable=False),
        sa.Column("ended_at", sa.Double, nullable=False),
        sa.Column("detail", LongText),
        sa.PrimaryKeyConstraint("id", name="saga_event_pk"),
    )
    op.create_index("saga_event_by_saga", "saga_event", ["saga_id", "id"])
    op.create_index("saga_event_by_request", "saga_event", ["request_id"])
    op.create_index("saga_event_by_subject", "saga_event", ["subject"])
