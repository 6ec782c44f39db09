"""Passwords end, former ones are remembered, and failed logins are counted."""

import sqlalchemy as sa


def upgrade(op):
    op.add_column("user_account", sa.Column("password_expires_at", sa.Double, nullable=True))
    op.create_table(
        "user_login",
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("failed_at", sa.Double, nullable=False),
        sa.Column("succeeded_at", sa.Double, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name="user_login_user_id_fk", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", name="user_login_pk"))
    op.create_table(
        "former_password",
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("hashed", sa.String(255), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["user_account.id"], name="former_password_user_id_fk", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", "generation", name="former_password_pk"))
