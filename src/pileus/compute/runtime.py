"""One running copy of the compute service: its configuration and the services it calls."""

from __future__ import annotations

from typing import Any, NamedTuple

from pileus.compute.config import ComputeConfig, GuestsConfig, SchedulerConfig
from pileus.compute.scheduler.columns import Kept
from pileus.identity.client import UnifiedLimits
from pileus.image.client import ImageClient
from pileus.kit.service import Runtime
from pileus.network.client import NetworkClient
from pileus.placement.client import PlacementClient
from pileus.volume.client import VolumeClient


class Clients(NamedTuple):
    """Of the services that compute asks."""

    image: ImageClient
    network: NetworkClient
    placement: PlacementClient
    volume: VolumeClient


class Compute(Runtime):
    def __init__(self, *args: Any, clients: Clients, config: ComputeConfig, guests: GuestsConfig,
                 scheduler: SchedulerConfig, unified_limits: UnifiedLimits | None = None, **more: Any):
        super().__init__(*args, **more)
        self.image, self.network, self.placement, self.volume = clients
        self.config, self.guests, self.scheduler = config, guests, scheduler
        self.unified_limits = unified_limits         # of identity; None: quota sets alone count
        self.kept = Kept()
        self.published: dict[str, bytes] = {}        # host id -> what placement was last told of it
