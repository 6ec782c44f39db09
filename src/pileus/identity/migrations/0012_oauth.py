"""Consumers act for users by OAuth 1.0a."""

import sqlalchemy as sa

from pileus.kit.db import LongText


def _owner(table, column, parent):
    return sa.ForeignKeyConstraint([column], [f"{parent}.id"], name=f"{table}_{column}_fk", ondelete="CASCADE")


def upgrade(op):
    op.create_table(
        "oauth_consumer",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("description", LongText),
        sa.Column("secret", LongText, nullable=False),
        sa.Column("extra", LongText, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="oauth_consumer_pk"))
    op.create_table(
        "oauth_request_token",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("consumer_id", sa.String(64), nullable=False),
        sa.Column("secret", LongText, nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(64)),
        sa.Column("verifier", sa.String(64)),
        sa.Column("role_ids", LongText, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        _owner("oauth_request_token", "consumer_id", "oauth_consumer"),
        _owner("oauth_request_token", "project_id", "project"),
        _owner("oauth_request_token", "user_id", "user_account"),
        sa.PrimaryKeyConstraint("id", name="oauth_request_token_pk"))
    op.create_index("oauth_request_token_expires_at_ix", "oauth_request_token", ["expires_at"])
    op.create_table(
        "oauth_access_token",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("consumer_id", sa.String(64), nullable=False),
        sa.Column("secret", LongText, nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("role_ids", LongText, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        _owner("oauth_access_token", "consumer_id", "oauth_consumer"),
        _owner("oauth_access_token", "project_id", "project"),
        _owner("oauth_access_token", "user_id", "user_account"),
        sa.PrimaryKeyConstraint("id", name="oauth_access_token_pk"))
    for column in ("user_id", "consumer_id"):
        op.create_index(f"oauth_access_token_{column}_ix", "oauth_access_token", [column])
