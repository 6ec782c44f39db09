"""People may come from identity providers elsewhere."""

import sqlalchemy as sa

from pileus.kit.db import LongText


def _owner(table, column, parent):
    return sa.ForeignKeyConstraint([column], [f"{parent}.id"], name=f"{table}_{column}_fk", ondelete="CASCADE")


def upgrade(op):
    op.create_table(
        "identity_provider",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("domain_id", sa.String(64), nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("description", LongText),
        sa.Column("authorization_ttl", sa.Integer),
        sa.Column("generation", sa.Integer, nullable=False),
        _owner("identity_provider", "domain_id", "project"),
        sa.PrimaryKeyConstraint("id", name="identity_provider_pk"))
    op.create_index("identity_provider_domain_id_ix", "identity_provider", ["domain_id"])
    op.create_table(
        "idp_remote_id",
        sa.Column("remote_id", sa.String(255), nullable=False),
        sa.Column("idp_id", sa.String(64), nullable=False),
        _owner("idp_remote_id", "idp_id", "identity_provider"),
        sa.PrimaryKeyConstraint("remote_id", name="idp_remote_id_pk"))
    op.create_index("idp_remote_id_idp_id_ix", "idp_remote_id", ["idp_id"])
    op.create_table(
        "mapping",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("rules", LongText, nullable=False),
        sa.Column("schema_version", sa.String(8), nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="mapping_pk"))
    op.create_table(
        "federation_protocol",
        sa.Column("idp_id", sa.String(64), nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("mapping_id", sa.String(64), nullable=False),
        sa.Column("remote_id_attribute", sa.String(64)),
        sa.Column("generation", sa.Integer, nullable=False),
        _owner("federation_protocol", "idp_id", "identity_provider"),
        sa.ForeignKeyConstraint(["mapping_id"], ["mapping.id"], name="federation_protocol_mapping_id_fk"),
        sa.PrimaryKeyConstraint("idp_id", "id", name="federation_protocol_pk"))
    op.create_index("federation_protocol_mapping_id_ix", "federation_protocol", ["mapping_id"])
    op.create_table(
        "service_provider",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("auth_url", sa.String(256), nullable=False),
        sa.Column("sp_url", sa.String(256), nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("description", LongText),
        sa.Column("relay_state_prefix", sa.String(256), nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="service_provider_pk"))
    _people(op)


def _people(op):
    op.create_table(
        "federated_user",
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("idp_id", sa.String(64), nullable=False),
        sa.Column("protocol_id", sa.String(64), nullable=False),
        sa.Column("unique_id", LongText, nullable=False),
        _owner("federated_user", "user_id", "user_account"),
        _owner("federated_user", "idp_id", "identity_provider"),
        sa.PrimaryKeyConstraint("user_id", "idp_id", "protocol_id", name="federated_user_pk"))
    op.create_index("federated_user_idp_id_ix", "federated_user", ["idp_id"])
    op.create_table(
        "expiring_membership",
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("group_id", sa.String(64), nullable=False),
        sa.Column("idp_id", sa.String(64), nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        _owner("expiring_membership", "user_id", "user_account"),
        _owner("expiring_membership", "group_id", "user_group"),
        _owner("expiring_membership", "idp_id", "identity_provider"),
        sa.PrimaryKeyConstraint("user_id", "group_id", name="expiring_membership_pk"))
    for column in ("expires_at", "group_id", "idp_id"):
        op.create_index(f"expiring_membership_{column}_ix", "expiring_membership", [column])
