"""One running copy of the image service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pileus.image.config import ImageConfig
from pileus.image.stores.base import Store
from pileus.image.stores.file import FileStore
from pileus.kit.service import Runtime


class Images(Runtime):
    def __init__(self, *args: Any, config: ImageConfig | None = None, store: Store | None = None, **more: Any):
        super().__init__(*args, **more)
        self.config = config or ImageConfig()
        self.store: Store = store or FileStore(Path(self.config.directory))
