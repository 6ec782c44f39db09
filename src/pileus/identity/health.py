"""What can be said of identity from its keys alone: for `pileus doctor`."""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator
from pathlib import Path

from pileus.identity.federation.settings import FederationConfig
from pileus.sandbox.checks import program

DAY = 86_400.0
CLOCK_SECONDS = 5.0


def saml(config: FederationConfig) -> Iterator[tuple[str, bool, str, str]]:
    """Rows of the same kind on what SAML needs, if it is wanted."""
    if config.saml or config.identity_url:
        found = program("xmlsec1")
        yield "xmlsec1", found is not None, found or "not installed; SAML needs it", "sudo apt-get install xmlsec1"
    for name, provider in config.saml.items():
        if not config.identity_url:
            yield f"SAML {name}", False, "identity_url of [federation] is not set", "set it"
        elif not provider.metadata.is_file():
            yield f"SAML {name}", False, f"there is no {provider.metadata}", "put the provider's metadata there"


def checks(name: str, folder: Path, *, key_days: int) -> Iterator[tuple[str, bool, str, str]]:
    """Rows (name, well, detail, cure) about one folder of keys; none where there is no folder yet."""
    if not folder.is_dir():
        return
    made = sorted((int(file.name), file.stat()) for file in folder.iterdir() if file.name.isdigit())
    if len(made) < 2:
        detail = f"{len(made)} keys in {folder}, where there must be two at least"
        yield name, False, detail, "restore them from a backup"
        return
    open_to = [file for file in (folder, *folder.iterdir()) if stat.S_IMODE(file.stat().st_mode) & 0o077]
    if open_to:
        yield name, False, f"others may read {open_to[0]}", f"chmod -R go= {folder}; pileus keys rotate"
        return
    age = time.time() - made[-1][1].st_mtime
    if age < -CLOCK_SECONDS:
        yield name, False, "the newest key comes from the future: this machine's clock went back", "set the clock"
    elif key_days and age > 2 * key_days * DAY:
        yield name, False, f"{int(age / DAY)} days old; it should be {key_days} at most", "pileus keys rotate"
    else:
        yield name, True, f"{len(made)} keys, the newest {int(age / DAY)} days old", ""
