"""Address groups as remotes of rules, templates of default rules, port forwarding, metering.

Expand only: code of the previous release neither reads nor writes what is added.
"""

import sqlalchemy as sa


def _standard():
    return (
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("description", sa.String(255), nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.Column("generation", sa.Integer, nullable=False),
    )


def _table(op, name, *more):
    op.create_table(name, *_standard(), *more, sa.PrimaryKeyConstraint("id", name=f"{name}_pk"))
    op.create_index(f"{name}_by_project", name, ["project_id", "id"])


def refer(op, table, column, other):
    """A nullable column that refers to a row of another table; SQLite knows no ADD CONSTRAINT."""
    name = f"{table}_{column}_fk"
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"ALTER TABLE {table} ADD COLUMN {column} VARCHAR(36) CONSTRAINT {name} REFERENCES {other} (id)")
    else:
        op.add_column(table, sa.Column(column, sa.String(36)))
        op.create_foreign_key(name, table, other, [column], ["id"])
    op.create_index(f"{table}_{column}_ix", table, [column])


def upgrade(op):
    _table(op, "address_group", sa.Column("addresses", sa.Text, nullable=False))
    refer(op, "security_group_rule", "remote_address_group_id", "address_group")
    _table(
        op, "default_security_group_rule",
        sa.Column("direction", sa.String(8), nullable=False),
        sa.Column("ethertype", sa.String(8), nullable=False),
        sa.Column("protocol", sa.String(40)),
        sa.Column("port_range_min", sa.Integer),
        sa.Column("port_range_max", sa.Integer),
        sa.Column("remote_ip_prefix", sa.String(64)),
        sa.Column("remote_group_id", sa.String(36)),
        sa.Column("remote_address_group_id", sa.String(36), sa.ForeignKey(
            "address_group.id", name="default_security_group_rule_remote_address_group_id_fk")),
        sa.Column("used_in_default_sg", sa.Boolean, nullable=False),
        sa.Column("used_in_non_default_sg", sa.Boolean, nullable=False),
        sa.Column("meaning", sa.String(255), nullable=False),
        sa.UniqueConstraint("meaning", name="default_security_group_rule_meaning_uq"))
    _table(
        op, "port_forwarding",
        sa.Column("floatingip_id", sa.String(36), nullable=False),
        sa.Column("internal_port_id", sa.String(36), nullable=False),
        sa.Column("internal_ip_address", sa.String(45), nullable=False),
        sa.Column("internal_port", sa.Integer, nullable=False),
        sa.Column("internal_last", sa.Integer, nullable=False),
        sa.Column("external_port", sa.Integer, nullable=False),
        sa.Column("external_last", sa.Integer, nullable=False),
        sa.Column("protocol", sa.String(16), nullable=False),
        sa.ForeignKeyConstraint(["floatingip_id"], ["floatingip.id"], name="port_forwarding_floatingip_id_fk",
                                ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["internal_port_id"], ["port.id"], name="port_forwarding_internal_port_id_fk",
                                ondelete="CASCADE"),
        sa.UniqueConstraint("floatingip_id", "protocol", "external_port",
                            name="port_forwarding_floatingip_id_protocol_external_port_uq"))
    op.create_index("port_forwarding_internal_port_id_ix", "port_forwarding", ["internal_port_id"])
    _table(op, "metering_label", sa.Column("shared", sa.Boolean, nullable=False))
    _table(
        op, "metering_label_rule",
        sa.Column("metering_label_id", sa.String(36), nullable=False),
        sa.Column("direction", sa.String(8), nullable=False),
        sa.Column("remote_ip_prefix", sa.String(64)),
        sa.Column("source_ip_prefix", sa.String(64)),
        sa.Column("destination_ip_prefix", sa.String(64)),
        sa.Column("excluded", sa.Boolean, nullable=False),
        sa.ForeignKeyConstraint(["metering_label_id"], ["metering_label.id"],
                                name="metering_label_rule_metering_label_id_fk", ondelete="CASCADE"))
    op.create_index("metering_label_rule_metering_label_id_ix", "metering_label_rule", ["metering_label_id"])
    _begin_with_templates(op)


def _begin_with_templates(op):
    """What every group began with up to now, as templates that the administrator may change."""
    said = [("egress", "IPv4", None, True), ("egress", "IPv6", None, True),
            ("ingress", "IPv4", "PARENT", False), ("ingress", "IPv6", "PARENT", False)]
    names = ["id", "project_id", "name", "description", "created_at", "updated_at", "generation", "direction",
             "ethertype", "remote_group_id", "used_in_default_sg", "used_in_non_default_sg", "meaning"]
    table = sa.table("default_security_group_rule", *map(sa.column, names))
    for place, (direction, ethertype, remote, for_all) in enumerate(said):
        meaning = " ".join((direction, ethertype, "-", "-", "-", "-", remote or "-", "-"))
        op.execute(table.insert().values(
            id=f"00000000-0000-4000-8000-00000000000{place}", project_id="", name="", description="",
            created_at=float(place), updated_at=float(place), generation=1, direction=direction, ethertype=ethertype,
            remote_group_id=remote, used_in_default_sg=True, used_in_non_default_sg=for_all, meaning=meaning))
