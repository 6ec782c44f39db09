"""All tables. What users see of a thing stands in columns of the names it has in the API."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from pileus.kit import db
from pileus.kit.db import Json, LongText

metadata = db.metadata()


def _id(name: str, *more: Any, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.String(36), *more, nullable=nullable)


def _text(name: str, size: int = 255, *, nullable: bool = True) -> sa.Column[Any]:
    return sa.Column(name, sa.String(size), nullable=nullable)


def _number(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer, nullable=nullable)


def _flag(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Boolean, nullable=False)


def _json(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, Json, nullable=nullable)


def _part(*, described: bool = True) -> list[sa.Column[Any]]:
    """Of everything that is a part of a load balancer, and of load balancers."""
    return [
        sa.Column("id", sa.String(36), primary_key=True), sa.Column("project_id", sa.String(64), nullable=False),
        _text("name"), *([_text("description")] if described else []), _flag("admin_state_up"),
        sa.Column("provisioning_status", sa.String(16), nullable=False),
        sa.Column("operating_status", sa.String(16), nullable=False), _json("tags"),
        sa.Column("created_at", sa.Double, nullable=False), sa.Column("updated_at", sa.Double),
        _number("generation")]


def _of(table: str, column: str, *, nullable: bool = False) -> sa.Column[Any]:
    return _id(column, sa.ForeignKey(f"{table}.id"), nullable=nullable)


load_balancers = sa.Table(
    "load_balancer", metadata, *_part(),
    _text("vip_address", 64, nullable=False), _id("vip_port_id"), _id("vip_subnet_id", nullable=True),
    _id("vip_network_id"), _id("vip_qos_policy_id", nullable=True), _text("vip_vnic_type", 64, nullable=False),
    _json("additional_vips"), _json("vip_sg_ids"), _text("provider", 64, nullable=False),
    _id("flavor_id", nullable=True), _text("availability_zone"),
    _flag("owns_port"),                                     # False: the user made it, and keeps it
    _text("host"),                                          # that carries it
    sa.Index("load_balancer_by_project", "project_id", "created_at", "id"),
    sa.Index("load_balancer_by_host", "host"))

legs = sa.Table(                                            # ports in networks of members, beside the VIP's own
    "leg", metadata, sa.Column("id", sa.String(36), primary_key=True),          # the port's
    _of("load_balancer", "load_balancer_id"), _id("network_id"), _id("subnet_id"),
    sa.UniqueConstraint("load_balancer_id", "network_id"))

pools = sa.Table(
    "pool", metadata, *_part(), _of("load_balancer", "load_balancer_id"),
    _text("protocol", 16, nullable=False), _text("lb_algorithm", 32, nullable=False),
    _json("session_persistence", nullable=True), _flag("tls_enabled"), _text("tls_container_ref"),
    _text("ca_tls_container_ref"), _text("crl_container_ref"), sa.Column("tls_ciphers", LongText),
    _json("tls_versions"), _json("alpn_protocols"),
    sa.Index("pool_by_project", "project_id", "created_at", "id"), sa.Index("pool_by_balancer", "load_balancer_id"))

listeners = sa.Table(
    "listener", metadata, *_part(), _of("load_balancer", "load_balancer_id"),
    _text("protocol", 32, nullable=False), _number("protocol_port"), _text("transport", 8, nullable=False),
    _number("connection_limit"), _of("pool", "default_pool_id", nullable=True), _json("insert_headers"),
    _number("timeout_client_data"), _number("timeout_member_connect"), _number("timeout_member_data"),
    _number("timeout_tcp_inspect"), _json("allowed_cidrs", nullable=True), _text("default_tls_container_ref"),
    _json("sni_container_refs"), _text("client_ca_tls_container_ref"), _text("client_crl_container_ref"),
    _text("client_authentication", 16, nullable=False), sa.Column("tls_ciphers", LongText), _json("tls_versions"),
    _json("alpn_protocols"), _number("hsts_max_age", nullable=True), _flag("hsts_include_subdomains"),
    _flag("hsts_preload"),
    # What went through it since it was made.
    *(sa.Column(name, sa.BigInteger, nullable=False) for name in (
        "bytes_in", "bytes_out", "active_connections", "total_connections", "request_errors")),
    sa.UniqueConstraint("load_balancer_id", "transport", "protocol_port"),
    sa.Index("listener_by_project", "project_id", "created_at", "id"), sa.Index("listener_by_pool", "default_pool_id"))

members = sa.Table(
    "member", metadata, *_part(described=False), _of("pool", "pool_id"), _text("address", 64, nullable=False),
    _text("ip", 64, nullable=False),                        # the address in the one way to write it
    _number("protocol_port"), _number("weight"), _flag("backup"), _id("subnet_id", nullable=True),
    _id("network_id", nullable=True), _text("monitor_address", 64), _number("monitor_port", nullable=True),
    _text("vnic_type", 64, nullable=False),
    sa.UniqueConstraint("pool_id", "ip", "protocol_port"),
    sa.Index("member_by_project", "project_id", "created_at", "id"))

health_monitors = sa.Table(
    "health_monitor", metadata, *_part(described=False), _of("pool", "pool_id"), _text("type", 16, nullable=False),
    _number("delay"), _number("timeout"), _number("max_retries"), _number("max_retries_down"),
    _text("http_method", 16), _text("url_path"), _text("expected_codes", 64), _text("http_version", 8),
    _text("domain_name"), sa.UniqueConstraint("pool_id"),
    sa.Index("health_monitor_by_project", "project_id", "created_at", "id"))

policies = sa.Table(
    "l7policy", metadata, *_part(), _of("listener", "listener_id"), _text("action", 32, nullable=False),
    _of("pool", "redirect_pool_id", nullable=True), _text("redirect_url"), _text("redirect_prefix"),
    _number("redirect_http_code", nullable=True), _number("position"),
    sa.Index("l7policy_by_listener", "listener_id", "position"), sa.Index("l7policy_by_pool", "redirect_pool_id"),
    sa.Index("l7policy_by_project", "project_id", "created_at", "id"))

rules = sa.Table(
    "l7rule", metadata, *_part(described=False), _of("l7policy", "l7policy_id"), _text("type", 32, nullable=False),
    _text("compare_type", 16, nullable=False), _text("key"), _text("value", nullable=False), _flag("invert"),
    sa.Index("l7rule_by_policy", "l7policy_id", "created_at"))

quotas = sa.Table(
    "quota", metadata, sa.Column("project_id", sa.String(64), primary_key=True), *(
        _number(name, nullable=True) for name in (
            "load_balancer", "listener", "member", "pool", "health_monitor", "l7policy", "l7rule")))


def _profile(name: str, data: str) -> sa.Table:
    return sa.Table(
        name, metadata, sa.Column("id", sa.String(36), primary_key=True), _text("name", nullable=False),
        _text("provider_name", 64, nullable=False), sa.Column(data, LongText, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        _number("generation"), sa.Index(f"{name}_by_age", "created_at", "id"))


flavor_profiles = _profile("flavor_profile", "flavor_data")
zone_profiles = _profile("availability_zone_profile", "availability_zone_data")

flavors = sa.Table(
    "flavor", metadata, sa.Column("id", sa.String(36), primary_key=True), _text("name", nullable=False),
    _text("description", nullable=False), _flag("enabled"), _of("flavor_profile", "flavor_profile_id"),
    sa.Column("created_at", sa.Double, nullable=False), _number("generation"), sa.UniqueConstraint("name"))

zones = sa.Table(
    "availability_zone", metadata, sa.Column("id", sa.String(36), primary_key=True), _text("name", nullable=False),
    _text("description", nullable=False), _flag("enabled"), _id("availability_zone_profile_id"),
    sa.Column("created_at", sa.Double, nullable=False), _number("generation"), sa.UniqueConstraint("name"),
    sa.ForeignKeyConstraint(["availability_zone_profile_id"], ["availability_zone_profile.id"],
                            name="availability_zone_profile_fk"))

hosts = sa.Table(
    "host", metadata, sa.Column("id", sa.String(255), primary_key=True),
    sa.Column("seen_at", sa.Double, nullable=False),
    sa.Column("unable", LongText))                          # to carry any, and why; NULL: it can
