"""What a guest can read of itself: the files of the metadata service and of the config drive.

Formats: OpenStack's metadata (versions below), and the EC2 tree that older tools ask for.
"""

from __future__ import annotations

import base64
import ipaddress
import os
from collections.abc import Sequence
from typing import Any

import msgspec

from pileus.compute.guest_topology import pinned_cpus
from pileus.compute.model.servers import Nic, Server
from pileus.compute.volumes import TaggedVolume, root_device

OPENSTACK_VERSIONS = ("2012-08-10", "2013-04-04", "2013-10-17", "2015-10-15", "2016-06-30", "2016-10-06", "2017-02-22",
                      "2018-08-27", "2020-10-14", "latest")
EC2_VERSIONS = ("1.0", "2007-01-19", "2007-03-01", "2007-08-29", "2007-10-10", "2007-12-15", "2008-02-01", "2008-09-01",
                "2009-04-04", "latest")
# What there is since which version; all the others have always been there.
FILES_SINCE = {"password": "2013-04-04", "vendor_data.json": "2013-10-17", "network_data.json": "2015-10-15",
               "vendor_data2.json": "2016-10-06"}
FIELDS_SINCE = {"random_seed": "2013-04-04", "project_id": "2015-10-15", "devices": "2016-06-30",
                "dedicated_cpus": "2020-10-14"}


class Subnet(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a subnet that a guest's network configuration needs."""

    id: str
    cidr: str
    gateway_ip: str | None = None
    enable_dhcp: bool = True
    dns_nameservers: tuple[str, ...] = ()
    host_routes: tuple[dict[str, str], ...] = ()
    ipv6_address_mode: str | None = None


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A network card with the subnets of its fixed addresses, in the same order."""

    nic: Nic
    subnets: tuple[Subnet, ...] = ()


def meta_data(server: Server, zone: str, volumes: Sequence[TaggedVolume] = (), *, admin_password: str | None = None,
              version: str = "latest") -> dict[str, Any]:
    """As of a version of the metadata."""
    found: dict[str, Any] = {
        "uuid": server.id, "name": server.name, "hostname": full_hostname(server),
        "launch_index": server.launch_index, "availability_zone": zone, "project_id": server.project_id,
        "random_seed": base64.b64encode(os.urandom(512)).decode(),
        "devices": devices(server, volumes),
        "dedicated_cpus": pinned_cpus(server.image.properties if server.image else {}, server.flavor.extra_specs,
                                      server.vcpus)}
    found = {name: value for name, value in found.items() if FIELDS_SINCE.get(name, "") <= version}
    if server.metadata:
        found["meta"] = server.metadata
    if server.key is not None and server.key_name is not None:
        found["public_keys"] = {server.key_name: server.key["public_key"]}
        found["keys"] = [{"name": server.key_name, "type": server.key["type"], "data": server.key["public_key"]}]
    if admin_password is not None:
        found["admin_pass"] = admin_password
    if server.personality:
        found["files"] = [{"path": each["path"], "content_path": f"/content/{number:04d}"}
                          for number, each in enumerate(server.personality)]
    return found


def full_hostname(server: Server) -> str:
    """A name that was given with its domain is told as it is."""
    return server.hostname if "." in server.hostname else f"{server.hostname}.novalocal"


def devices(server: Server, volumes: Sequence[TaggedVolume]) -> list[dict[str, Any]]:
    """The network cards and disks that have tags. Where on a bus the guest finds them is left to the guest: a card has
    its MAC address, and a disk its serial number, of which guests see the first 20 characters."""
    nowhere = {"bus": "none", "address": "none"}
    cards: list[dict[str, Any]] = [{"type": "nic", "mac": nic.mac, "tags": [nic.tag]} | nowhere
                                   for nic in server.nics if nic.tag is not None]
    sizes = {"root": 1, "ephemeral0": server.flavor.ephemeral_gb, "swap0": server.flavor.swap_mb}
    disks: list[dict[str, Any]] = [{"type": "disk", "serial": name, "tags": [tag]} | nowhere
                                   for name, tag in (server.disk_tags or {}).items() if sizes.get(name)]
    disks += [{"type": "disk", "serial": each.volume_id, "path": each.device, "tags": [each.tag]} | nowhere
              for each in volumes]
    return cards + disks


def tap_name(port_id: str) -> str:
    """The interface of a port on its host."""
    return f"tap{port_id[:11]}"


def network_data(links: list[Link]) -> dict[str, Any]:
    """Links, networks and name servers, as cloud-init reads them."""
    networks: list[dict[str, Any]] = []
    services: list[dict[str, str]] = []
    for link in links:
        fixed = [a for a in link.nic.addresses if a.type == "fixed"]
        for address, subnet in zip(fixed, link.subnets, strict=False):
            networks.append(_network(f"network{len(networks)}", link, address.address, subnet))
            services += [{"type": "dns", "address": server} for server in subnet.dns_nameservers
                         if {"type": "dns", "address": server} not in services]
    return {"links": [{"id": tap_name(link.nic.port_id), "vif_id": link.nic.port_id, "type": "tap",
                       "mtu": link.nic.mtu, "ethernet_mac_address": link.nic.mac} for link in links],
            "networks": networks, "services": services}


def _network(name: str, link: Link, address: str, subnet: Subnet) -> dict[str, Any]:
    block = ipaddress.ip_network(subnet.cidr)
    base = {"id": name, "link": tap_name(link.nic.port_id), "network_id": link.nic.network_id}
    if subnet.enable_dhcp and block.version == 4:
        return base | {"type": "ipv4_dhcp"}
    mode = f"_{subnet.ipv6_address_mode}" if block.version == 6 and subnet.ipv6_address_mode else ""
    any_net, any_mask = ("0.0.0.0", "0.0.0.0") if block.version == 4 else ("::", "::")
    routes = [{"network": any_net, "netmask": any_mask, "gateway": subnet.gateway_ip}] if subnet.gateway_ip else []
    for route in subnet.host_routes:
        target = ipaddress.ip_network(route["destination"])
        routes.append({"network": str(target.network_address), "netmask": str(target.netmask),
                       "gateway": route["nexthop"]})
    return base | {"type": f"ipv{block.version}{mode}", "ip_address": address, "netmask": str(block.netmask),
                   "routes": routes,
                   "services": [{"type": "dns", "address": server} for server in subnet.dns_nameservers]}


def ec2_tree(server: Server, zone: str) -> dict[str, Any]:
    """The tree below /latest/meta-data: text leaves, dictionaries for folders."""
    fixed = [a.address for nic in server.nics for a in nic.addresses if a.type == "fixed" and a.version == 4]
    floating = [a.address for nic in server.nics for a in nic.addresses if a.type == "floating"]
    tree: dict[str, Any] = {
        "ami-id": ec2_id(server.image_id or "", "ami"), "ami-launch-index": str(server.launch_index),
        "ami-manifest-path": "", "hostname": full_hostname(server),
        "instance-action": "none", "instance-id": ec2_id(server.id, "i"), "instance-type": server.flavor.name,
        "local-hostname": full_hostname(server), "local-ipv4": fixed[0] if fixed else "",
        "placement": {"availability-zone": zone}, "public-hostname": full_hostname(server),
        "public-ipv4": floating[0] if floating else "", "reservation-id": server.reservation_id,
        "security-groups": "\n".join(server.security_groups),
        "block-device-mapping": {"ami": root_device(server).removeprefix("/dev/"), "root": root_device(server)}}
    if server.key is not None:
        tree["public-keys"] = {f"0={server.key_name}": {"openssh-key": server.key["public_key"]}}
    return tree


def ec2_id(uuid: str, prefix: str) -> str:
    """A stable EC2-like id: i-0123456789abcdef0's shape from the first digits of our UUID."""
    return f"{prefix}-{uuid.replace('-', '')[:8]:0>8}"


def user_data(server: Server) -> bytes | None:
    return None if server.user_data is None else base64.b64decode(server.user_data)


def file_content(each: dict[str, str]) -> bytes:
    """Of a file that was asked to be put into the guest."""
    return base64.b64decode(each["contents"])


class Vendor(msgspec.Struct, frozen=True):
    """What the operator tells: from a file, and from all sources."""

    static: dict[str, Any] = {}
    all: dict[str, Any] = {}


def config_drive(server: Server, zone: str, links: list[Link], *, vendor: Vendor,
                 volumes: Sequence[TaggedVolume] = (), admin_password: str | None = None) -> dict[str, bytes]:
    """The files of the drive labelled config-2, by path."""
    encode = msgspec.json.encode
    files: dict[str, bytes] = {}
    for version in OPENSTACK_VERSIONS:
        described = meta_data(server, zone, volumes, admin_password=admin_password, version=version)
        made = {"meta_data.json": encode(described), "network_data.json": encode(network_data(links)),
                "vendor_data.json": encode(vendor.static), "vendor_data2.json": encode(vendor.all)}
        files |= {f"openstack/{version}/{name}": content for name, content in made.items()
                  if FILES_SINCE.get(name, "") <= version}
        if (own := user_data(server)) is not None:
            files[f"openstack/{version}/user_data"] = own
    for number, each in enumerate(server.personality or ()):
        files[f"openstack/content/{number:04d}"] = file_content(each)
    return files
