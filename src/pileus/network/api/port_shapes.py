"""What is said of ports and what they tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
import sqlalchemy as sa
from msgspec import UNSET, UnsetType

from pileus.kit.db import Connection
from pileus.kit.routes import Target
from pileus.kit.web import Ctx
from pileus.network import faults
from pileus.network.allocation import Wanted
from pileus.network.api import listing
from pileus.network.api.listing import Listing
from pileus.network.api.shapes import (
    MANY_TAGS,
    Changed,
    Id,
    MaybeBool,
    ProjectId,
    Standard,
    Tag,
    Text,
    app,
    sees_all,
    stamp,
)
from pileus.network.engine.hostnames import plain_name
from pileus.network.model import networks, ports, subnets
from pileus.network.model.networks import Network
from pileus.network.model.port_sides import Side, sides_of
from pileus.network.model.ports import AddressPair, DhcpOption, Port, port_groups
from pileus.network.model.subnets import Address, addresses
from pileus.network.placement_request import resource_request

Mac = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}$")]
VNIC_TYPES = ("normal", "direct", "macvtap", "baremetal", "direct-physical", "virtio-forwarder", "smart-nic", "vdpa")


class OtherConfig(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    tx_steering: Literal["thread", "hash"] | UnsetType = msgspec.field(name="tx-steering", default=UNSET)


class SwitchHints(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    other_config: OtherConfig | UnsetType = UNSET


class Hints(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a switch may make faster if it can; no engine of ours is one that is hinted at."""

    openvswitch: SwitchHints | UnsetType = UNSET


class PortUpdate(Changed, kw_only=True, forbid_unknown_fields=True):
    """An absent field leaves things as they are."""

    admin_state_up: MaybeBool = UNSET
    mac_address: Mac | None | UnsetType = UNSET
    fixed_ips: list[Wanted] | None | UnsetType = UNSET
    security_groups: list[str] | None | UnsetType = UNSET
    device_id: Text | UnsetType = UNSET
    device_owner: Text | UnsetType = UNSET
    port_security_enabled: MaybeBool = UNSET
    allowed_address_pairs: list[AddressPair] | None | UnsetType = UNSET
    extra_dhcp_opts: list[DhcpOption] | None | UnsetType = UNSET
    dns_name: Text | UnsetType = UNSET
    dns_domain: Text | UnsetType = UNSET
    qos_policy_id: str | None | UnsetType = UNSET
    host: Text | None | UnsetType = msgspec.field(name="binding:host_id", default=UNSET)
    vnic_type: Text | UnsetType = msgspec.field(name="binding:vnic_type", default=UNSET)
    profile: dict[str, Any] | None | UnsetType = msgspec.field(name="binding:profile", default=UNSET)
    trusted: MaybeBool = UNSET
    propagate_uplink_status: MaybeBool = UNSET
    hints: Hints | None | UnsetType = UNSET
    data_plane_status: Literal["ACTIVE", "DOWN"] | None | UnsetType = UNSET


class PortCreate(PortUpdate, kw_only=True, forbid_unknown_fields=True):
    project_id: ProjectId = UNSET
    tenant_id: ProjectId = UNSET
    network_id: Id
    id: Annotated[str, msgspec.Meta(pattern="^[0-9a-f-]{36}$")] | UnsetType = UNSET
    tags: Annotated[list[Tag], msgspec.Meta(max_length=MANY_TAGS)] | None = None


class FixedIp(msgspec.Struct, gc=False):
    subnet_id: str
    ip_address: str


class DnsAssignment(msgspec.Struct, gc=False):
    ip_address: str
    hostname: str
    fqdn: str


class SubportDetail(msgspec.Struct, gc=False):
    port_id: str
    segmentation_type: str
    segmentation_id: int
    mac_address: str


class TrunkDetails(msgspec.Struct, gc=False):
    trunk_id: str
    sub_ports: list[SubportDetail]


class PortView(Standard, kw_only=True, gc=False):
    network_id: str
    mac_address: str
    admin_state_up: bool
    status: str
    device_id: str
    device_owner: str
    fixed_ips: list[FixedIp]
    security_groups: list[str]
    port_security_enabled: bool
    allowed_address_pairs: list[AddressPair]
    extra_dhcp_opts: list[DhcpOption]
    dns_name: str
    dns_domain: str
    dns_assignment: list[DnsAssignment]
    qos_policy_id: str | None
    qos_network_policy_id: str | None
    propagate_uplink_status: bool
    data_plane_status: str | None
    hints: dict[str, Any] | None | UnsetType = UNSET
    trusted: bool | None | UnsetType = UNSET
    trunk_details: TrunkDetails | UnsetType = UNSET
    resource_request: dict[str, Any] | None | UnsetType = UNSET
    vnic_type: str = msgspec.field(name="binding:vnic_type")
    host: str | UnsetType = msgspec.field(name="binding:host_id", default=UNSET)
    profile: dict[str, Any] | UnsetType = msgspec.field(name="binding:profile", default=UNSET)
    vif_type: str | UnsetType = msgspec.field(name="binding:vif_type", default=UNSET)
    vif_details: dict[str, Any] | UnsetType = msgspec.field(name="binding:vif_details", default=UNSET)


class Seen(msgspec.Struct, frozen=True):
    """A port with its network, whose owner has a say."""

    port: Port
    network: Network

    @property
    def project_id(self) -> str:
        return self.port.project_id


async def seen(conn: Connection, port_id: str) -> Seen:
    port = await ports.get(conn, port_id)
    return Seen(port, await networks.get(conn, port.network_id))


def facts(seen: Seen) -> dict[str, Any]:
    return {"project_id": seen.port.project_id, "network:project_id": seen.network.project_id,
            "device_owner_kind": seen.port.device_owner.partition(":")[0]}


def visible(ctx: Ctx) -> sa.ColumnElement[bool] | None:
    if sees_all(ctx):
        return None
    mine = ctx.caller.project_id or ""
    owned = sa.select(networks.networks.c.id).where(networks.networks.c.project_id == mine)
    return sa.or_(ports.ports.c.project_id == mine, ports.ports.c.network_id.in_(owned))


def _by_address(values: list[str]) -> sa.ColumnElement[bool]:
    """Each value says one thing of a port's addresses, as `ip_address=10.0.0.5`: a port matches that has an address
    for all kinds of things said, and any of the values of one kind."""
    said: dict[str, list[str]] = {}
    for value in values:
        name, _, wanted = value.partition("=")
        if name not in ("ip_address", "ip_address_substr", "subnet_id"):
            raise faults.InvalidFilter(names=[f"fixed_ips {value}"])
        said.setdefault(name, []).append(wanted)
    clauses: list[sa.ColumnElement[bool]] = []
    if "ip_address" in said:
        clauses.append(addresses.c.ip.in_(said["ip_address"]))
    if "subnet_id" in said:
        clauses.append(addresses.c.subnet_id.in_(said["subnet_id"]))
    if "ip_address_substr" in said:
        clauses.append(sa.or_(*(addresses.c.ip.contains(text, autoescape=True)
                                for text in said["ip_address_substr"])))
    return ports.ports.c.id.in_(sa.select(addresses.c.port_id).where(*clauses))


PORT = Target(seen, missing=faults.PortNotFound, facts=facts)
LISTING = Listing(
    collection="ports", table=ports.ports, row=Port,
    columns=listing.columns_of(
        ports.ports, "vif_details", "profile", "allowed_address_pairs", "extra_dhcp_opts", "hints",
        host="binding:host_id",
        vnic_type="binding:vnic_type", vif_type="binding:vif_type"),
    filters={"fixed_ips": _by_address, "security_groups": lambda ids: ports.ports.c.id.in_(
        sa.select(port_groups.c.port_id).where(port_groups.c.security_group_id.in_(ids)))})


class Around(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a port's view tells that is not in its row."""

    addresses: list[Address] = []
    side: Side = msgspec.field(default_factory=Side)


def _trunk(side: Side) -> TrunkDetails | UnsetType:
    if side.trunk_id is None:
        return UNSET
    return TrunkDetails(side.trunk_id, [SubportDetail(below.port_id, "vlan", below.number, below.mac)
                                        for below in side.subports])


def view(row: Port, around: Around, domain: str, binding: bool) -> PortView:
    suffix = row.dns_domain or domain
    return PortView(
        id=row.id, name=row.name, description=row.description, project_id=row.project_id, tenant_id=row.project_id,
        created_at=stamp(row.created_at), updated_at=stamp(row.updated_at), revision_number=row.generation,
        tags=around.side.tags, network_id=row.network_id, mac_address=row.mac_address,
        admin_state_up=row.admin_state_up, status=row.status, device_id=row.device_id, device_owner=row.device_owner,
        fixed_ips=[FixedIp(address.subnet_id, address.ip) for address in around.addresses],
        security_groups=around.side.groups, port_security_enabled=row.port_security_enabled,
        allowed_address_pairs=[AddressPair(pair.ip_address, pair.mac_address or row.mac_address)
                               for pair in row.allowed_address_pairs],
        extra_dhcp_opts=row.extra_dhcp_opts, dns_name=row.dns_name, dns_domain=row.dns_domain,
        dns_assignment=[DnsAssignment(address.ip, name := row.dns_name or plain_name(address.ip), f"{name}.{suffix}")
                        for address in around.addresses],
        qos_policy_id=row.qos_policy_id, qos_network_policy_id=around.side.network_policy_id,
        propagate_uplink_status=row.propagate_uplink_status is not False, data_plane_status=row.data_plane_status,
        hints=row.hints if binding else UNSET, trusted=row.profile.get("trusted") if binding else UNSET,
        trunk_details=_trunk(around.side),
        resource_request=resource_request(row.id, row.vnic_type, around.side.least) if binding else UNSET,
        vnic_type=row.vnic_type,
        host=row.host if binding else UNSET, profile=row.profile if binding else UNSET,
        vif_type=row.vif_type if binding else UNSET, vif_details=row.vif_details if binding else UNSET)


async def views(ctx: Ctx, conn: Connection, rows: Sequence[Port]) -> list[PortView]:
    ids = [row.id for row in rows]
    held, sides = await subnets.addresses_of(conn, ids), await sides_of(conn, ids)
    binding, domain = ctx.allows("get_port:binding:host_id"), app(ctx).config.dns_domain
    return [view(row, Around(addresses=held[row.id], side=sides[row.id]), domain, binding) for row in rows]
