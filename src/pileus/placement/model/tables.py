"""Tables of placement; ids are the UUIDs of the API, classes and traits are their names."""

from __future__ import annotations

import sqlalchemy as sa

from pileus.kit import db

metadata = db.metadata()

providers = sa.Table(
    "provider", metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("name", sa.String(200), nullable=False, unique=True),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("parent_id", sa.String(36), sa.ForeignKey("provider.id")),
    sa.Column("root_id", sa.String(36), nullable=False),
    sa.Column("changed", sa.BigInteger, nullable=False),      # value of `change` after the last change
    sa.Column("updated_at", sa.Double, nullable=False),
    sa.Index("provider_by_parent", "parent_id"),
    sa.Index("provider_by_root", "root_id"),
    sa.Index("provider_by_change", "changed"),
)

inventories = sa.Table(
    "inventory", metadata,
    sa.Column("provider_id", sa.String(36), sa.ForeignKey("provider.id"), primary_key=True),
    sa.Column("resource_class", sa.String(255), primary_key=True),
    sa.Column("total", sa.Integer, nullable=False),
    sa.Column("reserved", sa.Integer, nullable=False),
    sa.Column("min_unit", sa.Integer, nullable=False),
    sa.Column("max_unit", sa.Integer, nullable=False),
    sa.Column("step_size", sa.Integer, nullable=False),
    sa.Column("allocation_ratio", sa.Double, nullable=False),
    sa.Index("inventory_by_class", "resource_class"),
)

consumers = sa.Table(
    "consumer", metadata,
    sa.Column("id", sa.String(36), primary_key=True),
    sa.Column("project_id", sa.String(255), nullable=False),
    sa.Column("user_id", sa.String(255), nullable=False),
    sa.Column("consumer_type", sa.String(255)),
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Index("consumer_by_project", "project_id", "user_id"),
)

allocations = sa.Table(
    "allocation", metadata,
    sa.Column("consumer_id", sa.String(36), sa.ForeignKey("consumer.id"), primary_key=True),
    sa.Column("provider_id", sa.String(36), sa.ForeignKey("provider.id"), primary_key=True),
    sa.Column("resource_class", sa.String(255), primary_key=True),
    sa.Column("used", sa.Integer, nullable=False),
    sa.Index("allocation_by_provider", "provider_id", "resource_class", "used"),
)

provider_traits = sa.Table(
    "provider_trait", metadata,
    sa.Column("provider_id", sa.String(36), sa.ForeignKey("provider.id"), primary_key=True),
    sa.Column("trait", sa.String(255), primary_key=True),
    sa.Index("provider_trait_by_trait", "trait"),
)

provider_aggregates = sa.Table(
    "provider_aggregate", metadata,
    sa.Column("provider_id", sa.String(36), sa.ForeignKey("provider.id"), primary_key=True),
    sa.Column("aggregate_id", sa.String(36), primary_key=True),
)

custom_names = sa.Table(
    "custom_name", metadata,
    sa.Column("kind", sa.String(16), primary_key=True),         # class or trait
    sa.Column("name", sa.String(255), primary_key=True),
)

# One row. Every writing transaction raises `value` as its last act, and with it marks the providers it changed, so that
# values become visible in their order and whoever knows one value can ask for what came after it.
change = sa.Table(
    "change", metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("value", sa.BigInteger, nullable=False),
    sa.Column("removals", sa.BigInteger, nullable=False),       # how often a provider was deleted
)
