"""Everything of the first release."""

import sqlalchemy as sa

from pileus.kit.db import LongText


def _host(op):
    op.create_table(
        "host",
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("underlay_ip", sa.String(45), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("seen_at", sa.Double, nullable=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("confirmed", sa.BigInteger, nullable=False),
        sa.Column("error", sa.String(255), nullable=False),
        sa.PrimaryKeyConstraint("name", name="host_pk"),
        sa.UniqueConstraint("id", name="host_id_uq"),
    )


def _network(op):
    op.create_table(
        "network",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.String(255), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("admin_state_up", sa.Boolean, nullable=False),
        sa.Column("shared", sa.Boolean, nullable=False),
        sa.Column("external", sa.Boolean, nullable=False),
        sa.Column("is_default", sa.Boolean, nullable=False),
        sa.Column("mtu", sa.Integer, nullable=False),
        sa.Column("port_security_enabled", sa.Boolean, nullable=False),
        sa.Column("dns_domain", sa.String(255), nullable=False),
        sa.Column("network_type", sa.String(16), nullable=False),
        sa.Column("physical_network", sa.String(64)),
        sa.Column("segmentation_id", sa.Integer),
        sa.Column("segment", sa.String(120), nullable=False),
        sa.PrimaryKeyConstraint("id", name="network_pk"),
        sa.UniqueConstraint("segment", name="network_segment_uq"),
    )
    op.create_index("network_by_project", "network", ["project_id", "id"])


def _project(op):
    op.create_table(
        "project",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("default_group_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("id", name="project_pk"),
    )


def _quota(op):
    op.create_table(
        "quota",
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("resource", sa.String(32), nullable=False),
        sa.Column("max_count", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("project_id", "resource", name="quota_pk"),
    )


def _security_group(op):
    op.create_table(
        "security_group",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.String(255), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("stateful", sa.Boolean, nullable=False),
        sa.Column("default_of", sa.String(64)),
        sa.PrimaryKeyConstraint("id", name="security_group_pk"),
        sa.UniqueConstraint("default_of", name="security_group_default_of_uq"),
    )
    op.create_index("security_group_by_project", "security_group", ["project_id", "id"])


def _subnetpool(op):
    op.create_table(
        "subnetpool",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.String(255), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("ip_version", sa.Integer, nullable=False),
        sa.Column("prefixes", LongText, nullable=False),
        sa.Column("default_prefixlen", sa.Integer, nullable=False),
        sa.Column("min_prefixlen", sa.Integer, nullable=False),
        sa.Column("max_prefixlen", sa.Integer, nullable=False),
        sa.Column("default_quota", sa.Integer),
        sa.Column("shared", sa.Boolean, nullable=False),
        sa.Column("is_default", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name="subnetpool_pk"),
    )
    op.create_index("subnetpool_by_project", "subnetpool", ["project_id", "id"])


def _tag(op):
    op.create_table(
        "tag",
        sa.Column("resource_id", sa.String(36), nullable=False),
        sa.Column("tag", sa.String(255), nullable=False),
        sa.PrimaryKeyConstraint("resource_id", "tag", name="tag_pk"),
    )


def _port(op):
    op.create_table(
        "port",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.String(255), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("network_id", sa.String(36), nullable=False),
        sa.Column("mac_address", sa.String(17), nullable=False),
        sa.Column("admin_state_up", sa.Boolean, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("device_id", sa.String(255), nullable=False),
        sa.Column("device_owner", sa.String(255), nullable=False),
        sa.Column("port_security_enabled", sa.Boolean, nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("vnic_type", sa.String(64), nullable=False),
        sa.Column("vif_type", sa.String(64), nullable=False),
        sa.Column("vif_details", LongText, nullable=False),
        sa.Column("profile", LongText, nullable=False),
        sa.Column("allowed_address_pairs", LongText, nullable=False),
        sa.Column("extra_dhcp_opts", LongText, nullable=False),
        sa.Column("dns_name", sa.String(255), nullable=False),
        sa.Column("dns_domain", sa.String(255), nullable=False),
        sa.PrimaryKeyConstraint("id", name="port_pk"),
        sa.ForeignKeyConstraint(["network_id"], ["network.id"], name="port_network_id_fk"),
        sa.UniqueConstraint("network_id", "mac_address", name="port_network_id_mac_address_uq"),
    )
    op.create_index("port_by_project", "port", ["project_id", "id"])
    op.create_index("port_device_id_ix", "port", ["device_id"])
    op.create_index("port_host_ix", "port", ["host"])


def _security_group_rule(op):
    op.create_table(
        "security_group_rule",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.String(255), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("security_group_id", sa.String(36), nullable=False),
        sa.Column("direction", sa.String(8), nullable=False),
        sa.Column("ethertype", sa.String(8), nullable=False),
        sa.Column("protocol", sa.String(40)),
        sa.Column("port_range_min", sa.Integer),
        sa.Column("port_range_max", sa.Integer),
        sa.Column("remote_ip_prefix", sa.String(64)),
        sa.Column("remote_group_id", sa.String(36)),
        sa.Column("meaning", sa.String(255), nullable=False),
        sa.PrimaryKeyConstraint("id", name="security_group_rule_pk"),
        sa.ForeignKeyConstraint(["remote_group_id"], ["security_group.id"],
                                name="security_group_rule_remote_group_id_fk", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["security_group_id"], ["security_group.id"],
                                name="security_group_rule_security_group_id_fk", ondelete="CASCADE"),
        sa.UniqueConstraint("security_group_id", "meaning", name="security_group_rule_security_group_id_meaning_uq"),
    )
    op.create_index("security_group_rule_by_project", "security_group_rule", ["project_id", "id"])
    op.create_index("security_group_rule_remote_group_id_ix", "security_group_rule", ["remote_group_id"])


def _subnet(op):
    op.create_table(
        "subnet",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.String(255), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("network_id", sa.String(36), nullable=False),
        sa.Column("ip_version", sa.Integer, nullable=False),
        sa.Column("cidr", sa.String(64), nullable=False),
        sa.Column("gateway_ip", sa.String(45)),
        sa.Column("enable_dhcp", sa.Boolean, nullable=False),
        sa.Column("ipv6_ra_mode", sa.String(16)),
        sa.Column("ipv6_address_mode", sa.String(16)),
        sa.Column("allocation_pools", LongText, nullable=False),
        sa.Column("dns_nameservers", LongText, nullable=False),
        sa.Column("host_routes", LongText, nullable=False),
        sa.Column("subnetpool_id", sa.String(36)),
        sa.Column("last_given", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="subnet_pk"),
        sa.ForeignKeyConstraint(["network_id"], ["network.id"], name="subnet_network_id_fk"),
        sa.ForeignKeyConstraint(["subnetpool_id"], ["subnetpool.id"], name="subnet_subnetpool_id_fk"),
    )
    op.create_index("subnet_by_project", "subnet", ["project_id", "id"])
    op.create_index("subnet_network_id_ix", "subnet", ["network_id"])
    op.create_index("subnet_subnetpool_id_ix", "subnet", ["subnetpool_id"])


def _address(op):
    op.create_table(
        "address",
        sa.Column("subnet_id", sa.String(36), nullable=False),
        sa.Column("number", sa.String(32), nullable=False),
        sa.Column("ip", sa.String(45), nullable=False),
        sa.Column("port_id", sa.String(36), nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("subnet_id", "number", name="address_pk"),
        sa.ForeignKeyConstraint(["port_id"], ["port.id"], name="address_port_id_fk", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["subnet_id"], ["subnet.id"], name="address_subnet_id_fk"),
    )
    op.create_index("address_ip_ix", "address", ["ip"])
    op.create_index("address_port_id_ix", "address", ["port_id"])


def _port_security_group(op):
    op.create_table(
        "port_security_group",
        sa.Column("port_id", sa.String(36), nullable=False),
        sa.Column("security_group_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("port_id", "security_group_id", name="port_security_group_pk"),
        sa.ForeignKeyConstraint(["port_id"], ["port.id"], name="port_security_group_port_id_fk", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["security_group_id"], ["security_group.id"],
                                name="port_security_group_security_group_id_fk"),
    )
    op.create_index("port_security_group_security_group_id_ix", "port_security_group", ["security_group_id"])


def _router(op):
    op.create_table(
        "router",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.String(255), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("admin_state_up", sa.Boolean, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("enable_snat", sa.Boolean, nullable=False),
        sa.Column("gateway_port_id", sa.String(36)),
        sa.Column("gateway_network_id", sa.String(36)),
        sa.Column("routes", LongText, nullable=False),
        sa.Column("host", sa.String(255)),
        sa.PrimaryKeyConstraint("id", name="router_pk"),
        sa.ForeignKeyConstraint(["gateway_network_id"], ["network.id"], name="router_gateway_network_id_fk"),
        sa.ForeignKeyConstraint(["gateway_port_id"], ["port.id"], name="router_gateway_port_id_fk"),
    )
    op.create_index("router_by_project", "router", ["project_id", "id"])
    op.create_index("router_gateway_network_id_ix", "router", ["gateway_network_id"])
    op.create_index("router_gateway_port_id_ix", "router", ["gateway_port_id"])
    op.create_index("router_host_ix", "router", ["host"])


def _floatingip(op):
    op.create_table(
        "floatingip",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.String(255), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
        sa.Column("floating_network_id", sa.String(36), nullable=False),
        sa.Column("floating_ip_address", sa.String(45), nullable=False),
        sa.Column("floating_port_id", sa.String(36), nullable=False),
        sa.Column("port_id", sa.String(36)),
        sa.Column("fixed_ip_address", sa.String(45)),
        sa.Column("router_id", sa.String(36)),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("dns_name", sa.String(255), nullable=False),
        sa.Column("dns_domain", sa.String(255), nullable=False),
        sa.PrimaryKeyConstraint("id", name="floatingip_pk"),
        sa.ForeignKeyConstraint(["floating_network_id"], ["network.id"], name="floatingip_floating_network_id_fk"),
        sa.ForeignKeyConstraint(["floating_port_id"], ["port.id"], name="floatingip_floating_port_id_fk"),
        sa.ForeignKeyConstraint(["port_id"], ["port.id"], name="floatingip_port_id_fk", ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["router_id"], ["router.id"], name="floatingip_router_id_fk"),
        sa.UniqueConstraint("floating_network_id", "port_id", "fixed_ip_address",
                            name="floatingip_floating_network_id_port_id_fixed_ip_address_uq"),
        sa.UniqueConstraint("floating_port_id", name="floatingip_floating_port_id_uq"),
    )
    op.create_index("floatingip_by_project", "floatingip", ["project_id", "id"])
    op.create_index("floatingip_floating_ip_address_ix", "floatingip", ["floating_ip_address"])
    op.create_index("floatingip_floating_network_id_ix", "floatingip", ["floating_network_id"])
    op.create_index("floatingip_port_id_ix", "floatingip", ["port_id"])
    op.create_index("floatingip_router_id_ix", "floatingip", ["router_id"])


def _router_interface(op):
    op.create_table(
        "router_interface",
        sa.Column("port_id", sa.String(36), nullable=False),
        sa.Column("router_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("port_id", name="router_interface_pk"),
        sa.ForeignKeyConstraint(["port_id"], ["port.id"], name="router_interface_port_id_fk"),
        sa.ForeignKeyConstraint(["router_id"], ["router.id"], name="router_interface_router_id_fk"),
    )
    op.create_index("router_interface_router_id_ix", "router_interface", ["router_id"])


def upgrade(op):
    for make in (
            _host, _network, _project, _quota, _security_group, _subnetpool, _tag, _port,
            _security_group_rule, _subnet, _address, _port_security_group, _router, _floatingip,
            _router_interface):
        make(op)
