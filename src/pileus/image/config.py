"""[image]"""

from __future__ import annotations

from typing import Annotated

import msgspec

from pileus.kit.config import doc


class ImageConfig(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    directory: Annotated[str, doc("Folder of the file store.")] = "images"
    max_image_bytes: Annotated[int, msgspec.Meta(ge=1), doc("The largest image anybody may upload.")] = 1 << 40
