"""Projects may be shown some endpoints only; stored policies may be tied to endpoints."""

import sqlalchemy as sa

from pileus.kit.db import LongText


def upgrade(op):
    op.create_table(
        "endpoint_group",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", LongText),
        sa.Column("filters", LongText, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="endpoint_group_pk"))
    _shown(op, "project_endpoint", "endpoint")
    _shown(op, "project_endpoint_group", "endpoint_group")
    op.create_table(
        "policy_association",
        sa.Column("subject", sa.String(400), nullable=False),
        sa.Column("policy_id", sa.String(64), nullable=False),
        sa.Column("endpoint_id", sa.String(64)),
        sa.Column("service_id", sa.String(64)),
        sa.Column("region_id", sa.String(255)),
        sa.ForeignKeyConstraint(["policy_id"], ["policy.id"], name="policy_association_policy_id_fk",
            ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["endpoint_id"], ["endpoint.id"], name="policy_association_endpoint_id_fk",
            ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["service_id"], ["service.id"], name="policy_association_service_id_fk",
            ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["region_id"], ["region.id"], name="policy_association_region_id_fk",
            ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("subject", name="policy_association_pk"))
    op.create_index("policy_association_policy_id_ix", "policy_association", ["policy_id"])


def _shown(op, table, what):
    op.create_table(
        table,
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column(f"{what}_id", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name=f"{table}_project_id_fk", ondelete="CASCADE"),
        sa.ForeignKeyConstraint([f"{what}_id"], [f"{what}.id"], name=f"{table}_{what}_id_fk", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("project_id", f"{what}_id", name=f"{table}_pk"))
    op.create_index(f"{table}_{what}_id_ix", table, [f"{what}_id"])
