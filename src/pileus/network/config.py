"""[network]"""

from typing import Annotated, Literal

import msgspec

from pileus.kit.config import doc
from pileus.kit.numbers import INT_MAX
from pileus.network.guarantees import Guarantees

Vlan = Annotated[int, msgspec.Meta(ge=1, le=4094)]
Count = Annotated[int, msgspec.Meta(ge=-1, le=INT_MAX)]


class Quotas(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What a project may have of each unless a quota of its own says otherwise; -1 is without limit."""

    network: Count = 1000
    subnet: Count = 1000
    port: Count = 10000
    router: Count = 100
    floatingip: Count = 100
    security_group: Count = 100
    security_group_rule: Count = 1000
    subnetpool: Count = -1
    rbac_policy: Count = 10
    trunk: Count = -1


class External(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """The external network a new cloud begins with. The gateway is the sandbox's side of its bridge."""

    name: str = "public"
    physical: str = "public"
    cidr: str = "203.0.113.0/24"
    gateway: str = "203.0.113.1"
    first: str = "203.0.113.10"
    last: str = "203.0.113.250"


class NetworkConfig(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    engine: Annotated[Literal["linux", "fake"], doc("What makes networks real on the hosts.")] = "linux"
    first_vni: Annotated[int, msgspec.Meta(ge=1, le=16777215), doc("Lowest VXLAN number given to a network.")] = 1000
    last_vni: Annotated[int, msgspec.Meta(ge=1, le=16777215), doc("Highest VXLAN number.")] = 16777215
    underlay_mtu: Annotated[int, msgspec.Meta(ge=1280, le=65535), doc(
        "MTU between hosts and of external networks; overlay networks get 50 bytes less.")] = 1500
    physical_networks: Annotated[tuple[str, ...], doc("Names of the bridges flat networks may be on.")] = ("public",)
    vlan_ranges: Annotated[dict[str, tuple[Vlan, Vlan]], doc(
        "The lowest and the highest VLAN that networks on a physical network are given where nobody names one, such as "
        "vlan_ranges.public = [1000, 1999].")] = {}
    mac_prefix: Annotated[str, msgspec.Meta(pattern="^[0-9a-f][02468ace](:[0-9a-f]{2}){2}$"), doc(
        "First half of the MAC addresses given to ports.")] = "fa:16:3e"
    dns_domain: Annotated[str, doc("Domain of ports' names.")] = "cloud.internal."
    host_dead_after: Annotated[float, msgspec.Meta(gt=0), doc(
        "Seconds without a word after which a host counts as dead and its routers move.")] = 75.0
    packet_log_rate: Annotated[int, msgspec.Meta(ge=1, le=100000), doc(
        "Packets a second that a host logs for security groups, per direction and verdict.")] = 100
    packet_log_burst: Annotated[int, msgspec.Meta(ge=1, le=100000), doc("How many more at once.")] = 25
    guarantees: Annotated[Guarantees, doc(
        "What hosts are said to have for ports that are promised bandwidth or packets, in kilobits and thousands of "
        "packets per second, such as physical.public.egress = 1000000. None: such ports are placed nowhere.")
    ] = Guarantees()
    quotas: Annotated[Quotas, doc("Default quotas.")] = Quotas()
    external: Annotated[External, doc("The first external network.")] = External()

    def __post_init__(self) -> None:
        for physical, (first, last) in self.vlan_ranges.items():
            if physical not in self.physical_networks or first > last:
                raise ValueError(f"vlan_ranges.{physical}: no range of one of physical_networks")

    @property
    def overlay_mtu(self) -> int:
        return self.underlay_mtu - 50
