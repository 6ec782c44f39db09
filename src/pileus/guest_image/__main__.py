"""python -m pileus.guest_image OUT: build the guest image by hand."""

import argparse
import os
import sys
from pathlib import Path

from pileus.guest_image.assembly import Recipe, build
from pileus.guest_image.programs import BuildFailed


def main() -> int:
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    parser = argparse.ArgumentParser(prog="python -m pileus.guest_image", description="Build the guest image.")
    parser.add_argument("output", type=Path, help="folder for the results")
    parser.add_argument("--cache", type=Path, default=home / "pileus" / "packages", help="folder packages are kept in")
    parser.add_argument("--name", default=Recipe().name, help="file name of the results")
    parser.add_argument("--user", default=Recipe().user, help="login of the default user")
    parser.add_argument("--password", default=Recipe().console_password, help="for the console only; empty: none")
    options = parser.parse_args()
    recipe = Recipe(name=options.name, user=options.user, console_password=options.password)
    try:
        build(options.output, options.cache, lambda text: print(text, file=sys.stderr, flush=True), recipe)
    except BuildFailed as error:
        print(f"guest image: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
