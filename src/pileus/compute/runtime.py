"""One running copy of the compute service: its configuration and the services it calls."""

from __future__ import annotations

from typing import Any

from pileus.compute.config import ComputeConfig, SchedulerConfig
from pileus.image.client import ImageClient
from pileus.kit.service import Runtime
from pileus.network.client import NetworkClient
from pileus.placement.client import PlacementClient
from pileus.volume.client import VolumeClient


class Compute(Runtime):
    def __init__(self, *args: Any, config: ComputeConfig, image: ImageClient, network: NetworkClient,
                 placement: PlacementClient, volume: VolumeClient, scheduler: SchedulerConfig | None = None,
                 **more: Any):
        super().__init__(*args, **more)
        self.volume, self.scheduler = volume, scheduler or SchedulerConfig()
        self.config, self.image, self.network, self.placement = config, image, network, placement
        self.published: dict[str, bytes] = {}        # host id -> what placement was last told of it
