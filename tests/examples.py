"""How many examples a test tries that tries many: all it names, or in the inner loop of `tools/check --fast` a part."""

from __future__ import annotations

from hypothesis import settings

INNER_LOOP = "inner-loop"             # a profile of hypothesis


def examples(number: int) -> int:
    """For `max_examples`: of the number that the whole check tries."""
    return max(number // 5, 3) if settings.get_current_profile_name() == INNER_LOOP else number
