"""What an engine is told (resolved records) and what it tells (status), as they travel in messages."""

from enum import StrEnum

import msgspec


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A record states everything an engine needs; whoever makes it has resolved every reference."""


class Network(Record, frozen=True, kw_only=True):
    """An overlay network has a `vni`; one that exists outside the cloud has `physical`, the name of its bridge,
    and where its frames are tagged there, its `vlan`.
    Hosts in `without_dhcp` do not answer DHCP. `dns_domains` are those that its ports' names are in, the first the
    one that guests are told."""

    id: str
    revision: int = 0
    vni: int | None = None
    mtu: int = 1450
    external: bool = False
    physical: str | None = None
    vlan: int | None = None
    without_dhcp: tuple[str, ...] = ()
    dns_domains: tuple[str, ...] = ()


class HostRoute(Record, frozen=True, kw_only=True):
    destination: str
    nexthop: str


class Subnet(Record, frozen=True, kw_only=True):
    """Within a `scope` of addresses, routers translate nothing; between two they let nothing through as it is."""

    id: str
    network_id: str
    cidr: str
    ip_version: int = 4
    gateway_ip: str | None = None
    enable_dhcp: bool = True
    dhcp_server_ip: str | None = None
    dns_nameservers: tuple[str, ...] = ()
    host_routes: tuple[HostRoute, ...] = ()
    ipv6_ra_mode: str | None = None
    ipv6_address_mode: str | None = None
    scope: str | None = None


class FixedIp(Record, frozen=True, kw_only=True):
    subnet_id: str
    ip: str


class AddressPair(Record, frozen=True, kw_only=True):
    """Another address (or network) the port may send from; without `mac`, with its own."""

    ip: str
    mac: str | None = None


class DhcpOption(Record, frozen=True, kw_only=True):
    """`name` as clients of the API know it, or a number."""

    name: str
    value: str
    ip_version: int = 4


class Limit(Record, frozen=True, kw_only=True):
    """Of what goes out of a guest, or into it; in bits or packets per second. Burst 0: some of it."""

    egress: bool = True
    packets: bool = False
    most: int
    burst: int = 0


class Qos(Record, frozen=True, kw_only=True):
    """`dscp` is written into what goes out."""

    limits: tuple[Limit, ...] = ()
    dscp: int | None = None


class Under(Record, frozen=True, kw_only=True):
    """A subport's frames go through its parent port's tap, with a VLAN tag that the guest there gives and takes."""

    port_id: str
    vlan: int


class Port(Record, frozen=True, kw_only=True):
    """`accepts` and `drops` are the ids of the logs that want to know what its security groups let through or drop."""

    id: str
    revision: int = 0
    network_id: str
    mac: str
    fixed_ips: tuple[FixedIp, ...] = ()
    security_group_ids: tuple[str, ...] = ()
    allowed_address_pairs: tuple[AddressPair, ...] = ()
    port_security: bool = True
    admin_up: bool = True
    host: str | None = None
    device_id: str = ""
    device_owner: str = ""
    project_id: str = ""
    hostname: str = ""
    dns_name: str = ""
    dns_domain: str = ""
    dhcp_options: tuple[DhcpOption, ...] = ()
    qos: Qos | None = None
    under: Under | None = None
    accepts: tuple[str, ...] = ()
    drops: tuple[str, ...] = ()


class LocalIp(Record, frozen=True, kw_only=True):
    """An address of a network that on the host of `port_id` means this port: its `fixed_ip`, or with `passthrough`
    the port itself, which has the address, too."""

    id: str
    revision: int = 0
    network_id: str
    ip: str
    port_id: str
    fixed_ip: str
    mac: str
    passthrough: bool = False


class Gateway(Record, frozen=True, kw_only=True):
    """A router's leg on an external network."""

    port_id: str
    network_id: str
    fixed_ips: tuple[FixedIp, ...]


class Followed(Record, frozen=True, kw_only=True):
    """A router reads along with a protocol (ftp, tftp) at this port, whose connections open others."""

    name: str
    protocol: str
    port: int


class Router(Record, frozen=True, kw_only=True):
    """`proxied` are guests' IPv6 addresses for which it answers at its gateway: only these are reached from there then.
    None: it answers for nobody, and who is outside needs a route to reach anybody.

    What leaves goes by the first gateway, or with `ecmp` by all, but for what has its address at another. `watched`:
    next hops that fall silent (RFC 5880) are left out."""

    id: str
    revision: int = 0
    admin_up: bool = True
    port_ids: tuple[str, ...] = ()
    gateway: Gateway | None = None
    enable_snat: bool = True
    routes: tuple[HostRoute, ...] = ()
    host: str | None = None
    project_id: str = ""
    qos: Qos | None = None
    proxied: tuple[str, ...] | None = None
    followed: tuple[Followed, ...] = ()
    further: tuple[Gateway, ...] = ()
    ecmp: bool = False
    watched: bool = False

    @property
    def gateways(self) -> tuple[Gateway, ...]:
        return () if self.gateway is None else (self.gateway, *self.further)


class Forwarding(Record, frozen=True, kw_only=True):
    """Ports `port` to `last` lead to `inside` and those that follow it at `ip`."""

    protocol: str
    port: int
    last: int
    ip: str
    inside: int


class FloatingIp(Record, frozen=True, kw_only=True):
    """Not associated: without `fixed_ip` and `port_id`; its ports may then lead to several guests. It is at the
    router's first gateway, unless its network is that of another, or of one of the router's legs."""

    id: str
    revision: int = 0
    floating_ip: str
    network_id: str = ""
    fixed_ip: str | None = None
    router_id: str | None = None
    port_id: str | None = None
    forwardings: tuple[Forwarding, ...] = ()
    qos: Qos | None = None


class MeterRule(Record, frozen=True, kw_only=True):
    """`ingress` is towards the project's networks. `remote` is the far end, whichever the direction."""

    ingress: bool
    remote: str | None = None
    source: str | None = None
    destination: str | None = None
    excluded: bool = False


class Meter(Record, frozen=True, kw_only=True):
    """Counts what goes through gateways of a project's routers; without a project, of all."""

    id: str
    project_id: str | None = None
    rules: tuple[MeterRule, ...] = ()


class Rule(Record, frozen=True, kw_only=True):
    """`port_min` and `port_max` are ports, or for ICMP type and code. No remote means anyone."""

    direction: str
    ethertype: str = "IPv4"
    protocol: str | None = None
    port_min: int | None = None
    port_max: int | None = None
    remote_cidr: str | None = None
    remote_group_id: str | None = None


class SecurityGroup(Record, frozen=True, kw_only=True):
    """What rules may name as remote: a group of ports, or one of `addresses`."""

    id: str
    revision: int = 0
    rules: tuple[Rule, ...] = ()
    stateful: bool = True
    addresses: tuple[str, ...] = ()


class Host(Record, frozen=True, kw_only=True):
    name: str
    underlay_ip: str


class Records(Record, frozen=True, kw_only=True):
    """A set of records: all of a cloud for `resync`, the changed ones for `apply`."""

    networks: tuple[Network, ...] = ()
    subnets: tuple[Subnet, ...] = ()
    ports: tuple[Port, ...] = ()
    routers: tuple[Router, ...] = ()
    floating_ips: tuple[FloatingIp, ...] = ()
    security_groups: tuple[SecurityGroup, ...] = ()
    hosts: tuple[Host, ...] = ()
    meters: tuple[Meter, ...] = ()
    local_ips: tuple[LocalIp, ...] = ()


class Gone(Record, frozen=True, kw_only=True):
    """A record that is no more; `kind` is the name of its field in Records, for hosts `id` is the name."""

    kind: str
    id: str


# What one host is told. Equal input yields an equal document: everything is sorted, nothing is counted or timed.


class Neighbour(Record, frozen=True, kw_only=True):
    """A port of a network and where it is: for forwarding between hosts, and to know who asks for metadata."""

    port_id: str
    mac: str
    ips: tuple[str, ...]
    underlay_ip: str | None = None
    device_id: str = ""
    project_id: str = ""
    dns_name: str = ""
    dns_domain: str = ""


class NetworkSlice(Record, frozen=True, kw_only=True):
    """`peers` are the underlay addresses of the other hosts that have the network."""

    network: Network
    subnets: tuple[Subnet, ...] = ()
    peers: tuple[str, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    local_ips: tuple[LocalIp, ...] = ()


class Leg(Record, frozen=True, kw_only=True):
    """A router's interface; `addresses` carry their prefix length. DHCPv6 gives out addresses where it is `managed`,
    and what else there is to know where `other`."""

    port_id: str
    revision: int = 0
    network_id: str
    mac: str
    addresses: tuple[str, ...]
    mtu: int = 1450
    advertised: tuple[str, ...] = ()
    managed: bool = False
    other: bool = False
    scope4: str | None = None
    scope6: str | None = None


class GatewayLeg(Record, frozen=True, kw_only=True):
    port_id: str
    revision: int = 0
    mac: str
    addresses: tuple[str, ...]
    nexthops: tuple[str, ...]
    mtu: int = 1500
    physical: str | None = None
    network_id: str = ""
    scope4: str | None = None
    scope6: str | None = None


class RouterSlice(Record, frozen=True, kw_only=True):
    id: str
    revision: int = 0
    legs: tuple[Leg, ...] = ()
    gateway: GatewayLeg | None = None
    enable_snat: bool = True
    routes: tuple[HostRoute, ...] = ()
    floating_ips: tuple[FloatingIp, ...] = ()
    meters: tuple[Meter, ...] = ()
    qos: Qos | None = None
    proxied: tuple[str, ...] | None = None
    followed: tuple[Followed, ...] = ()
    further: tuple[GatewayLeg, ...] = ()
    ecmp: bool = False
    watched: bool = False

    @property
    def gateways(self) -> tuple[GatewayLeg, ...]:
        return () if self.gateway is None else (self.gateway, *self.further)

    @property
    def every_leg(self) -> tuple[Leg | GatewayLeg, ...]:
        return (*self.legs, *self.gateways)


class GroupSlice(Record, frozen=True, kw_only=True):
    """`members` is filled only for groups that a rule of this host refers to."""

    id: str
    rules: tuple[Rule, ...] = ()
    stateful: bool = True
    members: tuple[str, ...] = ()


class Slice(Record, frozen=True, kw_only=True):
    """All that one host has to make real."""

    host: str
    underlay_ip: str
    networks: tuple[NetworkSlice, ...] = ()
    ports: tuple[Port, ...] = ()
    routers: tuple[RouterSlice, ...] = ()
    groups: tuple[GroupSlice, ...] = ()


class Snapshot(Record, frozen=True, kw_only=True):
    """A slice on its way to its host; a snapshot with a lower `seq` than the last one applied is ignored."""

    seq: int
    slice: Slice


class State(StrEnum):
    UP, DOWN, ERROR = "up", "down", "error"


class Status(Record, frozen=True, kw_only=True):
    """What became of a record: `kind` is 'port', 'router' or 'floating_ip'; a slice as a whole is 'slice', with its
    sequence number as revision and its host as id."""

    kind: str
    id: str
    revision: int
    host: str
    state: State
    detail: str = ""
