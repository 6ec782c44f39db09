"""Providers, inventories, consumers, allocations, traits, aggregates, custom names."""

import sqlalchemy as sa


def upgrade(op):
    op.create_table(
        "change",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("value", sa.BigInteger, nullable=False),
        sa.Column("removals", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="change_pk"),
    )
    op.create_table(
        "consumer",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(255), nullable=False),
        sa.Column("user_id", sa.String(255), nullable=False),
        sa.Column("consumer_type", sa.String(255)),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="consumer_pk"),
    )
    op.create_index("consumer_by_project", "consumer", ["project_id", "user_id"])
    op.create_table(
        "custom_name",
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.PrimaryKeyConstraint("kind", "name", name="custom_name_pk"),
    )
    op.create_table(
        "provider",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("parent_id", sa.String(36)),
        sa.Column("root_id", sa.String(36), nullable=False),
        sa.Column("changed", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("id", name="provider_pk"),
        sa.UniqueConstraint("name", name="provider_name_uq"),
        sa.ForeignKeyConstraint(["parent_id"], ["provider.id"], name="provider_parent_id_fk"),
    )
    op.create_index("provider_by_change", "provider", ["changed"])
    op.create_index("provider_by_parent", "provider", ["parent_id"])
    op.create_index("provider_by_root", "provider", ["root_id"])
    op.create_table(
        "allocation",
        sa.Column("consumer_id", sa.String(36), nullable=False),
        sa.Column("provider_id", sa.String(36), nullable=False),
        sa.Column("resource_class", sa.String(255), nullable=False),
        sa.Column("used", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("consumer_id", "provider_id", "resource_class", name="allocation_pk"),
        sa.ForeignKeyConstraint(["consumer_id"], ["consumer.id"], name="allocation_consumer_id_fk"),
        sa.ForeignKeyConstraint(["provider_id"], ["provider.id"], name="allocation_provider_id_fk"),
    )
    op.create_index("allocation_by_provider", "allocation", ["provider_id", "resource_class", "used"])
    op.create_table(
        "inventory",
        sa.Column("provider_id", sa.String(36), nullable=False),
        sa.Column("resource_class", sa.String(255), nullable=False),
        sa.Column("total", sa.Integer, nullable=False),
        sa.Column("reserved", sa.Integer, nullable=False),
        sa.Column("min_unit", sa.Integer, nullable=False),
        sa.Column("max_unit", sa.Integer, nullable=False),
        sa.Column("step_size", sa.Integer, nullable=False),
        sa.Column("allocation_ratio", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("provider_id", "resource_class", name="inventory_pk"),
        sa.ForeignKeyConstraint(["provider_id"], ["provider.id"], name="inventory_provider_id_fk"),
    )
    op.create_index("inventory_by_class", "inventory", ["resource_class"])
    op.create_table(
        "provider_aggregate",
        sa.Column("provider_id", sa.String(36), nullable=False),
        sa.Column("aggregate_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("provider_id", "aggregate_id", name="provider_aggregate_pk"),
        sa.ForeignKeyConstraint(["provider_id"], ["provider.id"], name="provider_aggregate_provider_id_fk"),
    )
    op.create_table(
        "provider_trait",
        sa.Column("provider_id", sa.String(36), nullable=False),
        sa.Column("trait", sa.String(255), nullable=False),
        sa.PrimaryKeyConstraint("provider_id", "trait", name="provider_trait_pk"),
        sa.ForeignKeyConstraint(["provider_id"], ["provider.id"], name="provider_trait_provider_id_fk"),
    )
    op.create_index("provider_trait_by_trait", "provider_trait", ["trait"])
    change = sa.table("change", sa.column("id"), sa.column("value"), sa.column("removals"))
    op.execute(change.insert().values(id=1, value=1, removals=0))
