"""Quality of service: policies with rules, and who they apply to.

Expand only: code of the previous release neither reads nor writes what is added.
"""

from importlib import import_module

import sqlalchemy as sa

refer = import_module("pileus.network.migrations.0002_address_groups_and_forwarding").refer


def _standard():
    return (
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.String(255), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
    )


def upgrade(op):
    op.create_table(
        "qos_policy", *_standard(), sa.Column("default_of", sa.String(64)),
        sa.PrimaryKeyConstraint("id", name="qos_policy_pk"),
        sa.UniqueConstraint("default_of", name="qos_policy_default_of_uq"))
    op.create_index("qos_policy_by_project", "qos_policy", ["project_id", "id"])
    op.create_table(
        "qos_rule", *_standard(),
        sa.Column("policy_id", sa.String(36), nullable=False),
        sa.Column("kind", sa.String(24), nullable=False),
        sa.Column("direction", sa.String(8), nullable=False),
        sa.Column("most", sa.Integer, nullable=False),
        sa.Column("burst", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="qos_rule_pk"),
        sa.ForeignKeyConstraint(["policy_id"], ["qos_policy.id"], name="qos_rule_policy_id_fk", ondelete="CASCADE"),
        sa.UniqueConstraint("policy_id", "kind", "direction", name="qos_rule_policy_id_kind_direction_uq"))
    op.create_index("qos_rule_by_project", "qos_rule", ["project_id", "id"])
    for table in ("network", "port", "floatingip"):
        refer(op, table, "qos_policy_id", "qos_policy")
