"""One running copy of the placement service."""

from __future__ import annotations

from typing import Any

import numpy as np

from pileus.kit.service import Runtime
from pileus.placement.columns import Columns
from pileus.placement.config import PlacementConfig


class Placement(Runtime):
    def __init__(self, *args: Any, config: PlacementConfig | None = None, **more: Any):
        super().__init__(*args, **more)
        self.config = config or PlacementConfig()
        self.columns = Columns(self.db)
        self.chance = np.random.default_rng() if self.config.randomize_candidates else None
