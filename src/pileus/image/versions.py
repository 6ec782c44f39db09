"""The Image API has no microversions in headers: it lists what it can do as version numbers."""

from pileus.kit.versions import Ledger

LEDGER = Ledger("image", oldest="2.0")

# Each is announced because what it added is there: patches (2.1), deactivation (2.3), communities and sharing by
# visibility (2.5), import (2.6), hashes and hidden images (2.7 and 2.9). 2.8 would promise more than one store.
ANNOUNCED = ("2.9", "2.7", "2.6", "2.5", "2.4", "2.3", "2.2", "2.1", "2.0")
