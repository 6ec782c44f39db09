"""One running copy of the volume service: its configuration and the services it calls."""

from __future__ import annotations

from typing import Any

from pileus.compute.client import ComputeClient
from pileus.image.client import ImageClient
from pileus.kit.sealing import Box
from pileus.kit.service import Runtime
from pileus.volume.config import VolumeConfig


class Volumes(Runtime):
    def __init__(self, *args: Any, config: VolumeConfig, image: ImageClient, compute: ComputeClient,
                 secret: bytes, **more: Any):
        super().__init__(*args, **more)
        self.config, self.image, self.compute, self.box = config, image, compute, Box(secret)
        self.unused_keys = frozenset[str]()                   # when they were looked for last
