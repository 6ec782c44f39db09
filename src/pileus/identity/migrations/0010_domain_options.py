"""Domains have options of their own, and their users and groups may come from a directory."""

import sqlalchemy as sa

from pileus.kit.db import LongText


def upgrade(op):
    op.create_table(
        "domain_option",
        sa.Column("domain_id", sa.String(64), nullable=False),
        sa.Column("section", sa.String(64), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("value", LongText, nullable=False),
        sa.Column("sensitive", sa.Boolean, nullable=False),
        sa.ForeignKeyConstraint(["domain_id"], ["project.id"], name="domain_option_domain_id_fk", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("domain_id", "section", "name", name="domain_option_pk"))
    op.create_table(
        "directory_entry",
        sa.Column("public_id", sa.String(64), nullable=False),
        sa.Column("domain_id", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("local_id", sa.String(255), nullable=False),
        sa.ForeignKeyConstraint(["domain_id"], ["project.id"], name="directory_entry_domain_id_fk",
            ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("public_id", name="directory_entry_pk"),
        sa.UniqueConstraint("domain_id", "kind", "local_id", name="directory_entry_domain_id_kind_local_id_uq"))
