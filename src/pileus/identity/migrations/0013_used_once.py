"""What counts once is remembered: nonces of OAuth 1.0a, and assertions of SAML."""

import sqlalchemy as sa


def upgrade(op):
    op.create_table(
        "used_once",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="used_once_pk"))
    op.create_index("used_once_expires_at_ix", "used_once", ["expires_at"])
