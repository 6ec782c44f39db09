"""Every table of identity."""

from __future__ import annotations

import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Json, LongText

metadata = db.metadata()
SYSTEM = "system"                     # what stands for a project's id in assignments on the whole cloud


def _id(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(64), nullable=nullable)


def _owned(name: str, parent: str, *, nullable: bool = False) -> sa.Column[str]:
    """A reference that dies with what it refers to."""
    return sa.Column(name, sa.String(64), sa.ForeignKey(f"{parent}.id", ondelete="CASCADE"), nullable=nullable)


def _key() -> sa.Column[str]:
    return sa.Column("id", sa.String(64), primary_key=True)


def _generation() -> sa.Column[int]:
    return sa.Column("generation", sa.Integer, nullable=False)


# A domain is a project with is_domain. `scope` is what its name is unique in: the domain's id, or "" for domains.
# `path` are the ids from the domain down to the project itself, between slashes; a project never moves.
projects = sa.Table(
    "project", metadata, _key(), sa.Column("name", sa.String(64), nullable=False),
    _owned("domain_id", "project", nullable=True), _owned("parent_id", "project", nullable=True),
    _id("scope"), sa.Column("path", sa.String(512), nullable=False),
    sa.Column("is_domain", sa.Boolean, nullable=False), sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("description", LongText, nullable=False),
    sa.Column("tags", Json, nullable=False), sa.Column("options", Json, nullable=False),
    sa.Column("extra", Json, nullable=False), _generation(),
    sa.UniqueConstraint("scope", "name"), sa.Index("project_domain_id_ix", "domain_id", "id"),
    sa.Index("project_parent_id_ix", "parent_id", "id"))

project_tags = sa.Table(
    "project_tag", metadata,
    sa.Column("project_id", sa.String(64), sa.ForeignKey("project.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("name", sa.String(255), primary_key=True), sa.Index("project_tag_name_ix", "name", "project_id"))

users = sa.Table(
    "user_account", metadata, _key(), _owned("domain_id", "project"), sa.Column("name", sa.String(255), nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False), _id("default_project_id", nullable=True),
    sa.Column("password_hash", sa.String(255)), sa.Column("password_changed_at", sa.Double),
    sa.Column("options", Json, nullable=False), sa.Column("extra", Json, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False), _generation(), sa.Column("password_expires_at", sa.Double),
    sa.UniqueConstraint("domain_id", "name"), sa.Index("user_account_name_ix", "name"))

# Beside the user's row, since every login may write here.
logins = sa.Table(
    "user_login", metadata,
    sa.Column("user_id", sa.String(64), sa.ForeignKey("user_account.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("failures", sa.Integer, nullable=False), sa.Column("failed_at", sa.Double, nullable=False),
    sa.Column("succeeded_at", sa.Double, nullable=False))

former_passwords = sa.Table(
    "former_password", metadata,
    sa.Column("user_id", sa.String(64), sa.ForeignKey("user_account.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("generation", sa.Integer, primary_key=True), sa.Column("hashed", sa.String(255), nullable=False))

groups = sa.Table(
    "user_group", metadata, _key(), _owned("domain_id", "project"), sa.Column("name", sa.String(64), nullable=False),
    sa.Column("description", LongText, nullable=False), sa.Column("extra", Json, nullable=False), _generation(),
    sa.UniqueConstraint("domain_id", "name"))

memberships = sa.Table(
    "membership", metadata,
    sa.Column("user_id", sa.String(64), sa.ForeignKey("user_account.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("group_id", sa.String(64), sa.ForeignKey("user_group.id", ondelete="CASCADE"), primary_key=True),
    sa.Index("membership_group_id_ix", "group_id", "user_id"))

roles = sa.Table(
    "role", metadata, _key(), sa.Column("name", sa.String(255), nullable=False),
    _owned("domain_id", "project", nullable=True), _id("scope"),
    sa.Column("description", LongText), sa.Column("options", Json, nullable=False),
    sa.Column("extra", Json, nullable=False), _generation(), sa.UniqueConstraint("scope", "name"))

implied_roles = sa.Table(
    "implied_role", metadata,
    sa.Column("prior_id", sa.String(64), sa.ForeignKey("role.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("implied_id", sa.String(64), sa.ForeignKey("role.id", ondelete="CASCADE"), primary_key=True))

# actor_id and target_id make the key; the nullable references beside them let the database take assignments away
# with their user, group, project or domain. For the whole cloud target_id is SYSTEM.
assignments = sa.Table(
    "assignment", metadata,
    sa.Column("actor_id", sa.String(64), primary_key=True), sa.Column("target_id", sa.String(64), primary_key=True),
    sa.Column("role_id", sa.String(64), sa.ForeignKey("role.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("inherited", sa.Boolean, primary_key=True),
    _owned("user_id", "user_account", nullable=True), _owned("group_id", "user_group", nullable=True),
    _owned("project_id", "project", nullable=True),
    sa.Index("assignment_target_id_ix", "target_id", "actor_id"), sa.Index("assignment_role_id_ix", "role_id"),
    sa.Index("assignment_user_id_ix", "user_id"), sa.Index("assignment_group_id_ix", "group_id"),
    sa.Index("assignment_project_id_ix", "project_id"))

regions = sa.Table(
    "region", metadata, sa.Column("id", sa.String(255), primary_key=True),
    sa.Column("parent_region_id", sa.String(255), sa.ForeignKey("region.id")),
    sa.Column("description", LongText, nullable=False), sa.Column("extra", Json, nullable=False), _generation())

services = sa.Table(
    "service", metadata, _key(), sa.Column("type", sa.String(255), nullable=False),
    sa.Column("name", sa.String(255), nullable=False), sa.Column("description", LongText),
    sa.Column("enabled", sa.Boolean, nullable=False), sa.Column("extra", Json, nullable=False), _generation())

endpoints = sa.Table(
    "endpoint", metadata, _key(), _owned("service_id", "service"),
    sa.Column("region_id", sa.String(255), sa.ForeignKey("region.id")),
    sa.Column("interface", sa.String(8), nullable=False), sa.Column("url", LongText, nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False), sa.Column("extra", Json, nullable=False), _generation(),
    sa.Index("endpoint_service_id_ix", "service_id"))

credentials = sa.Table(
    "credential", metadata, _key(), _owned("user_id", "user_account"), _id("project_id", nullable=True),
    sa.Column("type", sa.String(255), nullable=False), sa.Column("encrypted_blob", LongText, nullable=False),
    sa.Column("extra", Json, nullable=False), _generation(), sa.Index("credential_user_id_ix", "user_id"))

app_credentials = sa.Table(
    "app_credential", metadata, _key(), _owned("user_id", "user_account"), _owned("project_id", "project"),
    sa.Column("name", sa.String(255), nullable=False), sa.Column("description", LongText),
    sa.Column("secret_hash", sa.String(255), nullable=False), sa.Column("expires_at", sa.Double),
    sa.Column("unrestricted", sa.Boolean, nullable=False), sa.Column("role_ids", Json, nullable=False),
    sa.Column("access_rules", Json, nullable=False), _generation(), sa.UniqueConstraint("user_id", "name"),
    sa.Index("app_credential_project_id_ix", "project_id"))

access_rules = sa.Table(
    "access_rule", metadata, _key(), _owned("user_id", "user_account"),
    sa.Column("service", sa.String(64), nullable=False), sa.Column("method", sa.String(16), nullable=False),
    sa.Column("path", sa.String(128), nullable=False), sa.UniqueConstraint("user_id", "service", "method", "path"))

trusts = sa.Table(
    "trust", metadata, _key(), _owned("trustor_user_id", "user_account"), _owned("trustee_user_id", "user_account"),
    _owned("project_id", "project", nullable=True), sa.Column("impersonation", sa.Boolean, nullable=False),
    sa.Column("expires_at", sa.Double), sa.Column("deleted_at", sa.Double), sa.Column("remaining_uses", sa.Integer),
    sa.Column("role_ids", Json, nullable=False), _generation(), sa.Column("allow_redelegation", sa.Boolean),
    sa.Column("redelegation_count", sa.Integer), _id("redelegated_trust_id", nullable=True),
    sa.Index("trust_trustor_user_id_ix", "trustor_user_id"), sa.Index("trust_trustee_user_id_ix", "trustee_user_id"))

policies = sa.Table(
    "policy", metadata, _key(), sa.Column("type", sa.String(255), nullable=False),
    sa.Column("blob", LongText, nullable=False), sa.Column("extra", Json, nullable=False), _generation())

# `subject` names what the policy is for: an endpoint, a service, or a service in a region.
policy_associations = sa.Table(
    "policy_association", metadata, sa.Column("subject", sa.String(400), primary_key=True),
    _owned("policy_id", "policy"), _owned("endpoint_id", "endpoint", nullable=True),
    _owned("service_id", "service", nullable=True),
    sa.Column("region_id", sa.String(255), sa.ForeignKey("region.id", ondelete="CASCADE")),
    sa.Index("policy_association_policy_id_ix", "policy_id"))

endpoint_groups = sa.Table(
    "endpoint_group", metadata, _key(), sa.Column("name", sa.String(255), nullable=False),
    sa.Column("description", LongText), sa.Column("filters", Json, nullable=False), _generation())

# A project with any row in these sees in its catalog only the endpoints they name.
project_endpoints = sa.Table(
    "project_endpoint", metadata,
    sa.Column("project_id", sa.String(64), sa.ForeignKey("project.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("endpoint_id", sa.String(64), sa.ForeignKey("endpoint.id", ondelete="CASCADE"), primary_key=True),
    sa.Index("project_endpoint_endpoint_id_ix", "endpoint_id"))

project_endpoint_groups = sa.Table(
    "project_endpoint_group", metadata,
    sa.Column("project_id", sa.String(64), sa.ForeignKey("project.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("endpoint_group_id", sa.String(64), sa.ForeignKey("endpoint_group.id", ondelete="CASCADE"),
              primary_key=True),
    sa.Index("project_endpoint_group_endpoint_group_id_ix", "endpoint_group_id"))

registered_limits = sa.Table(
    "registered_limit", metadata, _key(), _owned("service_id", "service"), sa.Column("region_id", sa.String(255)),
    sa.Column("region_key", sa.String(255), nullable=False), sa.Column("resource_name", sa.String(255), nullable=False),
    sa.Column("default_limit", sa.Integer, nullable=False), sa.Column("description", LongText), _generation(),
    sa.UniqueConstraint("service_id", "region_key", "resource_name"))

limits = sa.Table(
    "project_limit", metadata, _key(), _owned("project_id", "project"),
    _owned("registered_limit_id", "registered_limit"), sa.Column("resource_limit", sa.Integer, nullable=False),
    sa.Column("description", LongText), _generation(), sa.UniqueConstraint("project_id", "registered_limit_id"))

# What validators must forget. A subject is user:ID, project:ID, domain:ID, token:AUDIT_ID, or a name of ours such as
# roles; its tokens issued up to `before` are revoked (0: none is). `seq` counts in the order of commits.
revocations = sa.Table(
    "revocation", metadata, sa.Column("subject", sa.String(128), primary_key=True),
    sa.Column("before", sa.Double, nullable=False), sa.Column("expires_at", sa.Double, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False), sa.Index("revocation_seq_ix", "seq"),
    sa.Index("revocation_expires_at_ix", "expires_at"))

counters = sa.Table(
    "counter", metadata, sa.Column("name", sa.String(16), primary_key=True),
    sa.Column("value", sa.BigInteger, nullable=False))
