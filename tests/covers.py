"""Which microversion a test shows; `tests/house/test_versions.py` sees to it that each is shown."""

from __future__ import annotations

import pytest

from pileus.kit.versions import Version


def covers(*versions: Version) -> pytest.MarkDecorator:
    """Marks a test that shows what clients see just below and at each of these, given as `versions.NAME`."""
    return pytest.mark.covers(*versions)
