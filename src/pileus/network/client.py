"""How other services call the network service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from pileus.kit.client import Client, Refused


class FixedIp(msgspec.Struct, frozen=True):
    subnet_id: str
    ip_address: str


class RequestGroup(msgspec.Struct, frozen=True, kw_only=True):
    """What one provider is to give of the host that the port is bound to."""

    id: str
    required: list[str] = []
    resources: dict[str, int] = {}


class ResourceRequest(msgspec.Struct, frozen=True, kw_only=True):
    request_groups: list[RequestGroup] = []
    same_subtree: list[str] = []


class Port(msgspec.Struct, frozen=True, kw_only=True):
    """What compute needs to know of a port. `device` is the name of the tap its hypervisor has to make."""

    id: str
    network_id: str
    mac_address: str
    status: str
    name: str = ""
    created_at: str = ""
    device_id: str = ""
    device_owner: str = ""
    project_id: str = ""
    fixed_ips: list[FixedIp] = []
    security_groups: list[str] = []
    host: str = msgspec.field(name="binding:host_id", default="")
    vif_type: str = msgspec.field(name="binding:vif_type", default="unbound")
    vif_details: dict[str, Any] = msgspec.field(name="binding:vif_details", default_factory=dict)
    profile: dict[str, Any] = msgspec.field(name="binding:profile", default_factory=dict)
    vnic_type: str = msgspec.field(name="binding:vnic_type", default="normal")
    resource_request: ResourceRequest | None = None

    @property
    def device(self) -> str:
        return self.vif_details.get("device", "")

    @property
    def mtu(self) -> int:
        return self.vif_details.get("mtu", 1450)


class Network(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    project_id: str = ""
    shared: bool = False
    external: bool = msgspec.field(name="router:external", default=False)
    mtu: int = 1450
    subnets: list[str] = []
    port_security_enabled: bool = True


class Subnet(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    network_id: str
    cidr: str
    ip_version: int


class SecurityGroup(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    name: str
    description: str = ""
    project_id: str = ""


class NewPort(msgspec.Struct, kw_only=True):
    """A port a service wants: by an id of its own making, so that asking twice is asking once. A port that is
    there already only gets the binding; if another device has it, PortInUse is refused."""

    id: str
    network_id: str
    device_id: str
    host: str | msgspec.UnsetType = msgspec.field(name="binding:host_id", default=msgspec.UNSET)
    device_owner: str = "compute:nova"
    name: str | msgspec.UnsetType = msgspec.UNSET
    project_id: str | msgspec.UnsetType = msgspec.UNSET
    port_security_enabled: bool | msgspec.UnsetType = msgspec.UNSET
    qos_policy_id: str | msgspec.UnsetType = msgspec.UNSET
    security_groups: list[str] | msgspec.UnsetType = msgspec.UNSET
    fixed_ips: list[dict[str, str]] | msgspec.UnsetType = msgspec.UNSET
    dns_name: str | msgspec.UnsetType = msgspec.UNSET
    profile: dict[str, Any] | msgspec.UnsetType = msgspec.field(name="binding:profile", default=msgspec.UNSET)


class SubnetDetail(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    cidr: str
    ip_version: int
    gateway_ip: str | None = None
    enable_dhcp: bool = True
    dns_nameservers: list[str] = []
    host_routes: list[dict[str, str]] = []
    ipv6_address_mode: str | None = None


class AddressDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One fixed address with the floating ones that lead to it."""

    ip_address: str
    subnet_id: str
    floating_ips: list[str] = []


class PortDetail(msgspec.Struct, frozen=True, kw_only=True):
    """All that a server's `addresses`, its metadata and its config drive tell of one port."""

    id: str
    device_id: str
    network_id: str
    network_name: str
    mtu: int
    mac_address: str
    status: str
    host: str = ""
    vif_type: str = "unbound"
    device: str = ""
    addresses: list[AddressDetail] = []
    subnets: list[SubnetDetail] = []
    security_groups: list[str] = []
    security_group_names: list[str] = []


class NetworkClient(Client):
    service: ClassVar[str] = "network"

    async def ensure_ports(self, wanted: Sequence[NewPort]) -> list[Port]:
        """Make or bind all ports of a boot with one request. Raises Refused, with nothing made, when one cannot be."""
        if not wanted:
            return []
        found = await self.call("POST", "/v2.0/ports", {"ports": list(wanted)})
        return msgspec.convert(found["ports"], list[Port])

    async def ensure_port(self, wanted: NewPort) -> Port:
        return (await self.ensure_ports([wanted]))[0]

    async def bind_port(self, port_id: str, host: str, device_id: str, *, device_owner: str = "compute:nova",
                        profile: dict[str, Any] | None = None) -> Port:
        """Bind a port that is there to a host; already so: nothing. On another host its profile no longer tells which
        providers gave what it asks for, unless a new one does."""
        body: dict[str, Any] = {"binding:host_id": host, "device_id": device_id, "device_owner": device_owner}
        if profile is not None:
            body["binding:profile"] = profile
        return msgspec.convert((await self.call("PUT", f"/v2.0/ports/{port_id}", {"port": body}))["port"], Port)

    async def unbind_port(self, port_id: str) -> None:
        """Take a port off its host and device; not there: nothing."""
        body = {"binding:host_id": "", "device_id": "", "device_owner": ""}
        await self.call("PUT", f"/v2.0/ports/{port_id}", {"port": body}, expect=(404,))

    async def ensure_no_port(self, port_id: str) -> None:
        await self.call("DELETE", f"/v2.0/ports/{port_id}", expect=(404,))

    async def show_port(self, port_id: str) -> Port | None:
        found = await self.call("GET", f"/v2.0/ports/{port_id}", expect=(404,))
        return msgspec.convert(found["port"], Port) if found else None

    async def ports(self, **filters: Any) -> list[Port]:
        """Ports by any attribute; a list of values means any of them: ports(id=[…]), ports(device_id=…)."""
        found = await self.call("GET", "/v2.0/ports", query=filters)
        return msgspec.convert(found["ports"], list[Port])

    async def ports_of(self, device_id: str) -> list[Port]:
        return await self.ports(device_id=device_id)

    async def port_details(self, device_ids: Sequence[str]) -> dict[str, list[PortDetail]]:
        """The ports of these servers with networks, addresses and floating IPs: one request, six queries."""
        details: dict[str, list[PortDetail]] = {device_id: [] for device_id in device_ids}
        if device_ids:
            found = await self.call("POST", "/v2.0/port-details", {"device_ids": list(device_ids)})
            for detail in msgspec.convert(found["ports"], list[PortDetail]):
                details[detail.device_id].append(detail)
        return details

    async def subnet(self, subnet_id: str) -> Subnet | None:
        found = await self.call("GET", f"/v2.0/subnets/{subnet_id}", expect=(404,))
        return msgspec.convert(found["subnet"], Subnet) if found else None

    async def subnets(self, **filters: Any) -> list[Subnet]:
        found = await self.call("GET", "/v2.0/subnets", query=filters)
        return msgspec.convert(found["subnets"], list[Subnet])

    async def network(self, network_id: str) -> Network | None:
        found = await self.call("GET", f"/v2.0/networks/{network_id}", expect=(404,))
        return msgspec.convert(found["network"], Network) if found else None

    async def networks(self, **filters: Any) -> list[Network]:
        """What the caller sees: use `as_caller(token)` for a user's view."""
        found = await self.call("GET", "/v2.0/networks", query=filters)
        return msgspec.convert(found["networks"], list[Network])

    async def networks_for(self, project_id: str) -> list[Network]:
        """What a server of the project is put on when its user names no network: its own, or the shared ones."""
        own = await self.networks(project_id=project_id, **{"router:external": False})
        return own or [n for n in await self.networks(shared=True) if not n.external]

    async def security_groups(self, project_id: str, names_or_ids: Sequence[str]) -> dict[str, SecurityGroup]:
        """By name or id, within one project; raises KeyError with the first that is not there."""
        found = await self.call("GET", "/v2.0/security-groups", query={"project_id": project_id})
        groups = msgspec.convert(found["security_groups"], list[SecurityGroup])
        known = {group.name: group for group in groups} | {group.id: group for group in groups}
        return {wanted: known[wanted] for wanted in names_or_ids}

    async def floating_ips_of(self, port_ids: Sequence[str]) -> list[Mapping[str, Any]]:
        if not port_ids:
            return []
        found = await self.call("GET", "/v2.0/floatingips", query={"port_id": list(port_ids)})
        return found["floatingips"]


__all__ = ["NetworkClient", "NewPort", "Port", "PortDetail", "Refused"]
