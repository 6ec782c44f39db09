"""What is shared with whom: one row per thing, way of use and project.

Expand only. Networks and subnet pools that are shared with all, and external networks, get the rows that say so; the
previous release goes on reading the columns that say the same.
"""

import uuid

import sqlalchemy as sa


def upgrade(op):
    table = op.create_table(
        "rbac_policy",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.String(255), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("object_type", sa.String(32), nullable=False),
        sa.Column("object_id", sa.String(36), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("target_project", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name="rbac_policy_pk"),
        sa.UniqueConstraint("object_id", "action", "target_project",
                            name="rbac_policy_object_id_action_target_project_uq"))
    op.create_index("rbac_policy_by_project", "rbac_policy", ["project_id", "id"])
    op.create_index("rbac_policy_by_target", "rbac_policy", ["target_project", "object_type"])
    for name, column, action in (
            ("network", "shared", "access_as_shared"), ("subnetpool", "shared", "access_as_shared"),
            ("network", "external", "access_as_external")):
        things = sa.table(name, sa.column("id"), sa.column("project_id"), sa.column("created_at"),
                          sa.column(column, sa.Boolean))
        found = op.get_bind().execute(sa.select(things.c.id, things.c.project_id, things.c.created_at).where(
            things.c[column])).all()
        for thing_id, project_id, made in found:
            op.execute(table.insert().values(
                id=str(uuid.uuid4()), project_id=project_id, name="", description="", created_at=made,
                updated_at=made, generation=1, object_type=name, object_id=thing_id, action=action,
                target_project="*"))
