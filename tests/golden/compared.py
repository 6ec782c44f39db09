"""Generated text beside the text that was committed: the same, or a diff; PILEUS_BLESS=1 commits to the new one."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

FOLDER = Path(__file__).parent
BLESSING = os.environ.get("PILEUS_BLESS") == "1"
MOST_LINES = 200
HOW = "If this is meant: tools/check --bless, then review and commit the diff below tests/golden/."


def difference(name: str, made: str) -> str:
    """Empty when the file says what was made; else a unified diff and what to do. When blessing, writes the file."""
    path = FOLDER / name
    if BLESSING:
        path.parent.mkdir(exist_ok=True)
        path.write_text(made)
    known = path.read_text() if path.exists() else ""
    lines = list(difflib.unified_diff(known.splitlines(), made.splitlines(), f"committed/{name}", f"generated/{name}",
                                      lineterm=""))
    if not lines:
        return ""
    left_out = [f"… and {len(lines) - MOST_LINES} more lines"] if len(lines) > MOST_LINES else []
    return "\n".join([*lines[:MOST_LINES], *left_out, "", HOW])


def left_over(expected: set[str]) -> list[str]:
    """Generated files that nothing generates any more; when blessing, they are removed."""
    found = {str(path.relative_to(FOLDER)) for suffix in ("*.json", "*.sql", "*.txt") for path in FOLDER.rglob(suffix)}
    unknown = sorted(found - expected)
    if BLESSING:
        for name in unknown:
            (FOLDER / name).unlink()
        return []
    return unknown
