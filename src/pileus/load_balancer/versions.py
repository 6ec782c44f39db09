"""The Load Balancer API has versions that only add, and no header to ask for one: discovery lists them."""

from pileus.kit.versions import Ledger

LEDGER = Ledger("load-balancer", oldest="2.0")
NEWEST = 29                         # v2.29: the groups of a VIP
