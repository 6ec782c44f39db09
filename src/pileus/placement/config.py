"""[placement]"""

from __future__ import annotations

from typing import Annotated

import msgspec

from pileus.kit.config import doc


class PlacementConfig(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    max_candidates: Annotated[int, msgspec.Meta(ge=1), doc(
        "Allocation candidates computed for one request at most; trees of many devices have very many combinations."
    )] = 100_000
    randomize_candidates: Annotated[bool, doc(
        "Whether a request with a limit is answered with candidates chosen at random, or always with the first ones."
    )] = True
