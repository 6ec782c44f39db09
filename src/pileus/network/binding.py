"""How ports are attached to hosts: what the engine says of a binding, and the record it is asked with."""

from __future__ import annotations

from typing import Any

from pileus.network.engine import records
from pileus.network.engine.hostnames import plain_name
from pileus.network.model.networks import Network
from pileus.network.model.ports import Port
from pileus.network.model.subnets import Address
from pileus.network.parts import Judge

FAILED, UNBOUND = "binding_failed", "unbound"
ALLOCATION = "allocation"         # in a port's profile: which providers of its host gave what it is promised


def port_record(port: Port, addresses: list[Address], group_ids: list[str], *,
                network_up: bool = True, qos: records.Qos | None = None,
                under: records.Under | None = None) -> records.Port:
    return records.Port(
        id=port.id, revision=port.generation, network_id=port.network_id, mac=port.mac_address,
        fixed_ips=tuple(records.FixedIp(subnet_id=a.subnet_id, ip=a.ip) for a in addresses),
        security_group_ids=tuple(group_ids), port_security=port.port_security_enabled,
        allowed_address_pairs=tuple(records.AddressPair(ip=pair.ip_address, mac=pair.mac_address)
                                    for pair in port.allowed_address_pairs),
        admin_up=port.admin_state_up and network_up, host=port.host or None, device_id=port.device_id,
        device_owner=port.device_owner, project_id=port.project_id, hostname=hostname(port, addresses),
        dns_name=port.dns_name,
        dns_domain=port.dns_domain, dhcp_options=tuple(
            records.DhcpOption(name=option.opt_name, value=option.opt_value, ip_version=option.ip_version)
            for option in port.extra_dhcp_opts if option.opt_value is not None), qos=qos, under=under)


def hostname(port: Port, addresses: list[Address]) -> str:
    """The port's own name, or one made of its first IPv4 address."""
    if port.dns_name:
        return port.dns_name
    for address in addresses:
        if "." in address.ip:
            return plain_name(address.ip)
    return ""


def bound(judge: Judge, port: Port, network: Network, host: str) -> dict[str, Any]:
    """The columns that say how the port is attached at `host` (nowhere, if empty). Only then does an engine's
    report about it count, so its status begins anew."""
    if not host:
        return {"host": "", "vif_type": UNBOUND, "vif_details": {}, "status": "DOWN"}
    attachment = judge.bind(port_record(port, [], []), host)
    if attachment is None:
        return {"host": host, "vif_type": FAILED, "vif_details": {}, "status": "DOWN"}
    details = {"port_filter": port.port_security_enabled, "device": attachment.device,
               "mtu": network.mtu}
    return {"host": host, "vif_type": attachment.kind, "vif_details": details, "status": "DOWN"}
