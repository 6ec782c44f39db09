"""How a server looks on the wire, in every microversion."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from pileus.compute import versions
from pileus.compute.api.flavors import EXTRA_SPECS
from pileus.compute.links import Link, bookmark, links_to
from pileus.compute.model.hosts import Place
from pileus.compute.model.servers import FlavorCopy, Seen, Server, ServerFault
from pileus.compute.times import iso_micro
from pileus.compute.volumes import root_device
from pileus.kit.clock import stamp
from pileus.kit.policy import ADMIN, Rule
from pileus.kit.versions import since
from pileus.kit.web import Ctx

EXTENDED = Rule("os_compute_api:os-extended-server-attributes", ADMIN)
HOST_STATUS = Rule("os_compute_api:servers:show:host_status", ADMIN)
PROGRESS = {"ACTIVE": 100, "BUILD": 0}


class AddressView(msgspec.Struct, frozen=True, kw_only=True):
    address: str = msgspec.field(name="addr")
    version: int
    type: str | UnsetType = msgspec.field(name="OS-EXT-IPS:type", default=UNSET)
    mac: str | UnsetType = msgspec.field(name="OS-EXT-IPS-MAC:mac_addr", default=UNSET)


class FaultView(msgspec.Struct, frozen=True, kw_only=True):
    code: int
    created: str
    message: str
    details: str | UnsetType = UNSET


class ServerBrief(msgspec.Struct, kw_only=True):
    id: str
    name: str
    links: list[Link]


class ServerView(msgspec.Struct, kw_only=True):
    id: str
    name: str
    status: str
    project_id: str = msgspec.field(name="tenant_id")
    user_id: str
    metadata: dict[str, str]
    host_id: str = msgspec.field(name="hostId")
    image: Any                                             # {id, links}, or "" without one
    flavor: dict[str, Any]
    created: str
    updated: str
    addresses: dict[str, list[AddressView]]
    access_ip_v4: str = msgspec.field(name="accessIPv4")
    access_ip_v6: str = msgspec.field(name="accessIPv6")
    links: list[Link]
    disk_config: str = msgspec.field(name="OS-DCF:diskConfig")
    progress: int | UnsetType = UNSET
    zone: str = msgspec.field(name="OS-EXT-AZ:availability_zone")
    config_drive: str
    key_name: str | None
    launched_at: str | None = msgspec.field(name="OS-SRV-USG:launched_at")
    terminated_at: str | None = msgspec.field(name="OS-SRV-USG:terminated_at")
    security_groups: list[dict[str, str]] | UnsetType = UNSET
    task_state: str | None = msgspec.field(name="OS-EXT-STS:task_state")
    vm_state: str = msgspec.field(name="OS-EXT-STS:vm_state")
    power_state: int = msgspec.field(name="OS-EXT-STS:power_state")
    volumes: list[dict[str, Any]] = msgspec.field(name="os-extended-volumes:volumes_attached", default_factory=list)
    fault: FaultView | UnsetType = UNSET
    host: str | None | UnsetType = msgspec.field(name="OS-EXT-SRV-ATTR:host", default=UNSET)
    instance_name: str | UnsetType = msgspec.field(name="OS-EXT-SRV-ATTR:instance_name", default=UNSET)
    hypervisor_hostname: str | None | UnsetType = msgspec.field(
        name="OS-EXT-SRV-ATTR:hypervisor_hostname", default=UNSET)
    reservation_id: Annotated[str | UnsetType, since(versions.EXTENDED_ATTRIBUTES)] = msgspec.field(
        name="OS-EXT-SRV-ATTR:reservation_id", default=UNSET)
    launch_index: Annotated[int | UnsetType, since(versions.EXTENDED_ATTRIBUTES)] = msgspec.field(
        name="OS-EXT-SRV-ATTR:launch_index", default=UNSET)
    hostname: Annotated[str | UnsetType, since(versions.EXTENDED_ATTRIBUTES)] = msgspec.field(
        name="OS-EXT-SRV-ATTR:hostname", default=UNSET)
    kernel_id: Annotated[str | UnsetType, since(versions.EXTENDED_ATTRIBUTES)] = msgspec.field(
        name="OS-EXT-SRV-ATTR:kernel_id", default=UNSET)
    ramdisk_id: Annotated[str | UnsetType, since(versions.EXTENDED_ATTRIBUTES)] = msgspec.field(
        name="OS-EXT-SRV-ATTR:ramdisk_id", default=UNSET)
    root_device: Annotated[str | UnsetType, since(versions.EXTENDED_ATTRIBUTES)] = msgspec.field(
        name="OS-EXT-SRV-ATTR:root_device_name", default=UNSET)
    user_data: Annotated[str | None | UnsetType, since(versions.EXTENDED_ATTRIBUTES)] = msgspec.field(
        name="OS-EXT-SRV-ATTR:user_data", default=UNSET)
    locked: Annotated[bool, since(versions.LOCKED)]
    host_status: Annotated[str | UnsetType, since(versions.HOST_STATUS)] = UNSET
    description: Annotated[str | None, since(versions.DESCRIPTION)]
    tags: Annotated[list[str], since(versions.TAGS)]
    certificates: Annotated[list[str] | None, since(versions.TRUSTED_CERTIFICATES)] = msgspec.field(
        name="trusted_image_certificates", default=None)
    server_groups: Annotated[list[str] | UnsetType, since(versions.SERVER_GROUPS)] = UNSET
    locked_reason: Annotated[str | None, since(versions.LOCKED_REASON)] = None
    pinned_zone: Annotated[str | None, since(versions.PINNED_ZONE)] = msgspec.field(
        name="pinned_availability_zone", default=None)
    hints: Annotated[dict[str, Any], since(versions.TOLD_HINTS)] = msgspec.field(
        name="scheduler_hints", default_factory=dict)


def brief(ctx: Ctx, seen: Seen) -> ServerBrief:
    return ServerBrief(id=seen.id, name=seen.server.name, links=links_to(ctx, f"servers/{seen.id}"))


def view(ctx: Ctx, seen: Seen, *, places: dict[str, Place], single: bool = False) -> ServerView:
    """`places`: by host. `single`: the server alone, which tells a little more."""
    server, status, place = seen.server, seen.status, places.get(seen.server.host or "")
    shown = ServerView(
        id=server.id, name=server.name, status=status, project_id=server.project_id, user_id=server.user_id,
        metadata=server.metadata, host_id=host_id(server), image=_image(ctx, server),
        flavor=_flavor(ctx, server.flavor),
        created=stamp(server.created_at), updated=stamp(server.updated_at), addresses=addresses(server),
        access_ip_v4=server.access_ip_v4 or "", access_ip_v6=server.access_ip_v6 or "",
        links=links_to(ctx, f"servers/{server.id}"), disk_config=server.disk_config,
        progress=PROGRESS.get(status, UNSET),
        zone=place.zone if place else server.zone or "", config_drive="True" if server.config_drive else "",
        key_name=server.key_name, launched_at=iso_micro(server.launched_at), terminated_at=iso_micro(server.deleted_at),
        security_groups=[{"name": name} for name in server.security_groups]
        if server.nics and server.security_groups else UNSET,
        task_state=seen.doing.task if seen.doing else None, vm_state=server.state.as_told, power_state=server.power,
        fault=_fault(ctx, server.fault) if status == "ERROR" and server.fault else UNSET,
        locked=server.locked, description=server.description, tags=list(seen.tags),
        certificates=list(server.certificates) if server.certificates is not None else None,
        locked_reason=server.locked_reason, pinned_zone=server.zone, hints=server.hints or {},
        server_groups=([server.group_id] if server.group_id else []) if single else UNSET)
    if ctx.version >= versions.HOSTNAME:
        shown.hostname = server.hostname
    if ctx.allows(EXTENDED.name):
        _extend(shown, server)
    if ctx.allows(HOST_STATUS.name):
        shown.host_status = place.status(ctx.clock(), ctx.app.config.host_silent_after) if place else ""
    return shown


# What the answer to a PUT lacks before it became that to a GET.
NOT_IN_UPDATE = ("zone", "config_drive", "key_name", "launched_at", "terminated_at", "security_groups", "task_state",
                 "vm_state", "power_state", "volumes", "host", "instance_name", "hypervisor_hostname",
                 "reservation_id", "launch_index", "hostname", "kernel_id", "ramdisk_id", "root_device", "user_data",
                 "host_status")


def shortened(shown: ServerView) -> ServerView:
    """What clients of before 2.75 are told of a server that they changed."""
    for name in NOT_IN_UPDATE:
        setattr(shown, name, UNSET)
    shown.addresses = {network: [AddressView(address=each.address, version=each.version) for each in found]
                       for network, found in shown.addresses.items()}
    return shown


def _extend(shown: ServerView, server: Server) -> None:
    """What only administrators see."""
    shown.host = shown.hypervisor_hostname = server.host
    shown.instance_name = instance_name(server)
    shown.reservation_id, shown.launch_index = server.reservation_id, server.launch_index
    shown.hostname, shown.root_device, shown.user_data = server.hostname, root_device(server), server.user_data
    properties = server.image.properties if server.image else {}
    shown.kernel_id, shown.ramdisk_id = properties.get("kernel_id", ""), properties.get("ramdisk_id", "")


def instance_name(server: Server) -> str:
    """The guest's name at the hypervisor."""
    return f"instance-{server.id[:8]}"


def addresses(server: Server) -> dict[str, list[AddressView]]:
    shown: dict[str, list[AddressView]] = {}
    for nic in server.nics:
        for address in nic.addresses:
            shown.setdefault(nic.network_name, []).append(AddressView(
                address=address.address, version=address.version, type=address.type, mac=nic.mac))
    return shown


def host_id(server: Server) -> str:
    """Tells a project which of its servers share a host, and nobody which host that is."""
    if not server.host:
        return ""
    return hashlib.sha224(f"{server.project_id}{server.host}".encode()).hexdigest()


def _image(ctx: Ctx, server: Server) -> Any:
    if server.image_id is None:
        return ""
    shown = {"id": server.image_id, "links": [bookmark(ctx, f"images/{server.image_id}")]}
    if ctx.version < versions.IMAGE_PROPERTIES:
        return shown
    return shown | {"properties": server.image.properties if server.image else {}}


def _flavor(ctx: Ctx, flavor: FlavorCopy) -> dict[str, Any]:
    if ctx.version < versions.EMBEDDED_FLAVOR:
        return {"id": flavor.id, "links": [bookmark(ctx, f"flavors/{flavor.id}")]}
    shown = {"vcpus": flavor.vcpus, "ram": flavor.memory_mb, "disk": flavor.disk_gb, "ephemeral": flavor.ephemeral_gb,
             "swap": flavor.swap_mb, "original_name": flavor.name}
    return shown | ({"extra_specs": flavor.extra_specs} if ctx.allows(EXTRA_SPECS.name) else {})


def _fault(ctx: Ctx, fault: ServerFault) -> FaultView:
    return FaultView(code=fault.code, created=stamp(fault.created_at), message=fault.message,
                     details=fault.details if fault.details and ctx.caller.is_admin else UNSET)
