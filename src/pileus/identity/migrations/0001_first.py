"""Every table of identity, as of the first release."""

import sqlalchemy as sa

from pileus.kit.db import LongText


def upgrade(op):
    _counter(op)
    _policy(op)
    _project(op)
    _region(op)
    _revocation(op)
    _service(op)
    _endpoint(op)
    _project_tag(op)
    _registered_limit(op)
    _role(op)
    _user_account(op)
    _user_group(op)
    _access_rule(op)
    _app_credential(op)
    _assignment(op)
    _credential(op)
    _implied_role(op)
    _membership(op)
    _project_limit(op)
    _trust(op)
    op.execute("INSERT INTO counter (name, value) VALUES ('revocation', 0)")


def _counter(op):
    op.create_table(
        "counter",
        sa.Column("name", sa.String(16), nullable=False),
        sa.Column("value", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="counter_pk"))


def _policy(op):
    op.create_table(
        "policy",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("type", sa.String(255), nullable=False),
        sa.Column("blob", LongText, nullable=False),
        sa.Column("extra", LongText, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="policy_pk"))


def _project(op):
    op.create_table(
        "project",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("domain_id", sa.String(64)),
        sa.Column("parent_id", sa.String(64)),
        sa.Column("scope", sa.String(64), nullable=False),
        sa.Column("path", sa.String(512), nullable=False),
        sa.Column("is_domain", sa.Boolean, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("description", LongText, nullable=False),
        sa.Column("tags", LongText, nullable=False),
        sa.Column("options", LongText, nullable=False),
        sa.Column("extra", LongText, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(["domain_id"], ["project.id"], name="project_domain_id_fk", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["parent_id"], ["project.id"], name="project_parent_id_fk", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="project_pk"),
        sa.UniqueConstraint("scope", "name", name="project_scope_name_uq"))
    op.create_index("project_domain_id_ix", "project", ["domain_id", "id"])
    op.create_index("project_parent_id_ix", "project", ["parent_id", "id"])


def _region(op):
    op.create_table(
        "region",
        sa.Column("id", sa.String(255), nullable=False),
        sa.Column("parent_region_id", sa.String(255)),
        sa.Column("description", LongText, nullable=False),
        sa.Column("extra", LongText, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(["parent_region_id"], ["region.id"], name="region_parent_region_id_fk"),
        sa.PrimaryKeyConstraint("id", name="region_pk"))


def _revocation(op):
    op.create_table(
        "revocation",
        sa.Column("subject", sa.String(128), nullable=False),
        sa.Column("before", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("subject", name="revocation_pk"))
    op.create_index("revocation_expires_at_ix", "revocation", ["expires_at"])
    op.create_index("revocation_seq_ix", "revocation", ["seq"])


def _service(op):
    op.create_table(
        "service",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("type", sa.String(255), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", LongText),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("extra", LongText, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="service_pk"))


def _endpoint(op):
    op.create_table(
        "endpoint",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("service_id", sa.String(64), nullable=False),
        sa.Column("region_id", sa.String(255)),
        sa.Column("interface", sa.String(8), nullable=False),
        sa.Column("url", LongText, nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("extra", LongText, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(["region_id"], ["region.id"], name="endpoint_region_id_fk"),
        sa.ForeignKeyConstraint(["service_id"], ["service.id"], name="endpoint_service_id_fk", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="endpoint_pk"))
    op.create_index("endpoint_service_id_ix", "endpoint", ["service_id"])


def _project_tag(op):
    op.create_table(
        "project_tag",
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="project_tag_project_id_fk", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("project_id", "name", name="project_tag_pk"))
    op.create_index("project_tag_name_ix", "project_tag", ["name", "project_id"])


def _registered_limit(op):
    op.create_table(
        "registered_limit",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("service_id", sa.String(64), nullable=False),
        sa.Column("region_id", sa.String(255)),
        sa.Column("region_key", sa.String(255), nullable=False),
        sa.Column("resource_name", sa.String(255), nullable=False),
        sa.Column("default_limit", sa.Integer, nullable=False),
        sa.Column("description", LongText),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(["service_id"], ["service.id"],
            name="registered_limit_service_id_fk", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="registered_limit_pk"),
        sa.UniqueConstraint("service_id", "region_key", "resource_name",
            name="registered_limit_service_id_region_key_resource_name_uq"))


def _role(op):
    op.create_table(
        "role",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("domain_id", sa.String(64)),
        sa.Column("scope", sa.String(64), nullable=False),
        sa.Column("description", LongText),
        sa.Column("options", LongText, nullable=False),
        sa.Column("extra", LongText, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(["domain_id"], ["project.id"], name="role_domain_id_fk", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="role_pk"),
        sa.UniqueConstraint("scope", "name", name="role_scope_name_uq"))


def _user_account(op):
    op.create_table(
        "user_account",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("domain_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("default_project_id", sa.String(64)),
        sa.Column("password_hash", sa.String(255)),
        sa.Column("password_changed_at", sa.Double),
        sa.Column("options", LongText, nullable=False),
        sa.Column("extra", LongText, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(["domain_id"], ["project.id"], name="user_account_domain_id_fk", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="user_account_pk"),
        sa.UniqueConstraint("domain_id", "name", name="user_account_domain_id_name_uq"))
    op.create_index("user_account_name_ix", "user_account", ["name"])


def _user_group(op):
    op.create_table(
        "user_group",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("domain_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("description", LongText, nullable=False),
        sa.Column("extra", LongText, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(["domain_id"], ["project.id"], name="user_group_domain_id_fk", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="user_group_pk"),
        sa.UniqueConstraint("domain_id", "name", name="user_group_domain_id_name_uq"))


def _access_rule(op):
    op.create_table(
        "access_rule",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("service", sa.String(64), nullable=False),
        sa.Column("method", sa.String(16), nullable=False),
        sa.Column("path", sa.String(128), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name="access_rule_user_id_fk", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="access_rule_pk"),
        sa.UniqueConstraint("user_id", "service", "method", "path", name="access_rule_user_id_service_method_path_uq"))


def _app_credential(op):
    op.create_table(
        "app_credential",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", LongText),
        sa.Column("secret_hash", sa.String(255), nullable=False),
        sa.Column("expires_at", sa.Double),
        sa.Column("unrestricted", sa.Boolean, nullable=False),
        sa.Column("role_ids", LongText, nullable=False),
        sa.Column("access_rules", LongText, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"],
            name="app_credential_project_id_fk", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name="app_credential_user_id_fk", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="app_credential_pk"),
        sa.UniqueConstraint("user_id", "name", name="app_credential_user_id_name_uq"))
    op.create_index("app_credential_project_id_ix", "app_credential", ["project_id"])


def _assignment(op):
    op.create_table(
        "assignment",
        sa.Column("actor_id", sa.String(64), nullable=False),
        sa.Column("target_id", sa.String(64), nullable=False),
        sa.Column("role_id", sa.String(64), nullable=False),
        sa.Column("inherited", sa.Boolean, nullable=False),
        sa.Column("user_id", sa.String(64)),
        sa.Column("group_id", sa.String(64)),
        sa.Column("project_id", sa.String(64)),
        sa.ForeignKeyConstraint(["group_id"], ["user_group.id"], name="assignment_group_id_fk", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="assignment_project_id_fk", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["role_id"], ["role.id"], name="assignment_role_id_fk", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name="assignment_user_id_fk", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("actor_id", "target_id", "role_id", "inherited", name="assignment_pk"))
    op.create_index("assignment_group_id_ix", "assignment", ["group_id"])
    op.create_index("assignment_project_id_ix", "assignment", ["project_id"])
    op.create_index("assignment_role_id_ix", "assignment", ["role_id"])
    op.create_index("assignment_target_id_ix", "assignment", ["target_id", "actor_id"])
    op.create_index("assignment_user_id_ix", "assignment", ["user_id"])


def _credential(op):
    op.create_table(
        "credential",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("project_id", sa.String(64)),
        sa.Column("type", sa.String(255), nullable=False),
        sa.Column("encrypted_blob", LongText, nullable=False),
        sa.Column("extra", LongText, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name="credential_user_id_fk", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="credential_pk"))
    op.create_index("credential_user_id_ix", "credential", ["user_id"])


def _implied_role(op):
    op.create_table(
        "implied_role",
        sa.Column("prior_id", sa.String(64), nullable=False),
        sa.Column("implied_id", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(["implied_id"], ["role.id"], name="implied_role_implied_id_fk", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["prior_id"], ["role.id"], name="implied_role_prior_id_fk", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("prior_id", "implied_id", name="implied_role_pk"))


def _membership(op):
    op.create_table(
        "membership",
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("group_id", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["user_group.id"], name="membership_group_id_fk", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["user_id"], ["user_account.id"], name="membership_user_id_fk", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("user_id", "group_id", name="membership_pk"))
    op.create_index("membership_group_id_ix", "membership", ["group_id", "user_id"])


def _project_limit(op):
    op.create_table(
        "project_limit",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("registered_limit_id", sa.String(64), nullable=False),
        sa.Column("resource_limit", sa.Integer, nullable=False),
        sa.Column("description", LongText),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="project_limit_project_id_fk", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["registered_limit_id"], ["registered_limit.id"],
            name="project_limit_registered_limit_id_fk", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="project_limit_pk"),
        sa.UniqueConstraint("project_id", "registered_limit_id",
            name="project_limit_project_id_registered_limit_id_uq"))


def _trust(op):
    op.create_table(
        "trust",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("trustor_user_id", sa.String(64), nullable=False),
        sa.Column("trustee_user_id", sa.String(64), nullable=False),
        sa.Column("project_id", sa.String(64)),
        sa.Column("impersonation", sa.Boolean, nullable=False),
        sa.Column("expires_at", sa.Double),
        sa.Column("deleted_at", sa.Double),
        sa.Column("remaining_uses", sa.Integer),
        sa.Column("role_ids", LongText, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.ForeignKeyConstraint(["project_id"], ["project.id"], name="trust_project_id_fk", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["trustee_user_id"], ["user_account.id"],
            name="trust_trustee_user_id_fk", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["trustor_user_id"], ["user_account.id"],
            name="trust_trustor_user_id_fk", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="trust_pk"))
    op.create_index("trust_trustee_user_id_ix", "trust", ["trustee_user_id"])
    op.create_index("trust_trustor_user_id_ix", "trust", ["trustor_user_id"])
