"""The configuration of a whole cloud: one section per service; every option has a default."""

from __future__ import annotations

import msgspec

from pileus.compute.config import ComputeConfig, GuestsConfig, SchedulerConfig
from pileus.identity.config import ComplianceConfig, IdentityConfig
from pileus.identity.federation.settings import FederationConfig
from pileus.image.config import ImageConfig
from pileus.kit.certificates import ProxyConfig
from pileus.load_balancer.config import LoadBalancerConfig
from pileus.network.config import NetworkConfig
from pileus.placement.config import PlacementConfig
from pileus.processes.databases import DatabaseConfig
from pileus.volume.config import VolumeConfig


class Settings(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    identity: IdentityConfig = IdentityConfig()
    security_compliance: ComplianceConfig = ComplianceConfig()
    compute: ComputeConfig = ComputeConfig()
    guests: GuestsConfig = GuestsConfig()
    scheduler: SchedulerConfig = SchedulerConfig()
    network: NetworkConfig = NetworkConfig()
    image: ImageConfig = ImageConfig()
    placement: PlacementConfig = PlacementConfig()
    volume: VolumeConfig = VolumeConfig()
    load_balancer: LoadBalancerConfig = LoadBalancerConfig()
    federation: FederationConfig = FederationConfig()
    proxy: ProxyConfig = ProxyConfig()
    database: DatabaseConfig = DatabaseConfig()


SECTIONS = {field.name: field.type for field in msgspec.structs.fields(Settings)}
