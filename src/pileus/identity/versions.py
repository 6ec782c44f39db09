"""The one version of the Identity API that is spoken."""

from pileus.kit.versions import Ledger

LEDGER = Ledger("identity", oldest="3.14")
UPDATED = "2020-04-07T00:00:00Z"
