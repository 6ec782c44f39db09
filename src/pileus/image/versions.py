"""The Image API has no microversions in headers: it lists what it can do as version numbers."""

from pileus.kit.versions import Ledger

LEDGER = Ledger("image", oldest="2.0")

# Each is announced because what it added is there: patches (2.1), deactivation (2.3), communities and sharing by
# visibility (2.5), import (2.6), hashes and hidden images (2.7 and 2.9), several stores (2.8), imports into them and
# the tasks that tell (2.10 to 2.13), a cache (2.14), details of stores (2.15), import from another image (2.16), and
# locations (2.17).
ANNOUNCED = tuple(f"2.{minor}" for minor in reversed(range(18)))
