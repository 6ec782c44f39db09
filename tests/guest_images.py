"""The guest image of tests, built once for all their processes."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from pileus import guest_image

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pileus"


def built() -> Path:
    """The folder it is in; built when the builder is not the one that built it last."""
    digest = hashlib.sha256()
    for path in sorted(Path(guest_image.__file__).parent.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(path.name.encode() + path.read_bytes())
    folder = CACHE / "test-images" / digest.hexdigest()[:16]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (CACHE / "test-images.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)                        # another process of the tests may be building it
        if not folder.exists():
            for other in folder.parent.iterdir():
                shutil.rmtree(other)
            fresh = Path(tempfile.mkdtemp(dir=folder.parent))
            guest_image.build(fresh, CACHE / "test-packages", print)
            fresh.replace(folder)
    return folder
