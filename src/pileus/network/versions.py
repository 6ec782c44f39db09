"""The Networking API has one version and no microversions: extensions say what is there."""

from pileus.kit.versions import Ledger

LEDGER = Ledger("network", oldest="2.0")
