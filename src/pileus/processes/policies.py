"""The policy of all services, as an operator's policy.yaml changes it."""

from __future__ import annotations

from pathlib import Path

from pileus.compute.service import SERVICE as COMPUTE
from pileus.identity.service import SERVICE as IDENTITY
from pileus.image.service import SERVICE as IMAGE
from pileus.kit.config import BadConfig
from pileus.kit.policy import Policy, read_overrides
from pileus.load_balancer.service import SERVICE as LOAD_BALANCER
from pileus.network.service import SERVICE as NETWORK
from pileus.placement.service import SERVICE as PLACEMENT
from pileus.volume.service import SERVICE as VOLUME

SERVICES = (IDENTITY, PLACEMENT, IMAGE, NETWORK, COMPUTE, VOLUME, LOAD_BALANCER)


def policies_of(file: Path) -> dict[str, Policy]:
    """By service. Raises BadConfig for a rule that no service has."""
    overrides = read_overrides(file)
    known = {service.name: set(service.policy().checks) for service in SERVICES}
    if unknown := set(overrides) - set().union(*known.values()):
        raise BadConfig(f"{file}: no service has a rule named {', '.join(sorted(unknown))}")
    try:
        return {service.name: service.policy({name: check for name, check in overrides.items()
                                              if name in known[service.name]}) for service in SERVICES}
    except BadConfig as error:
        raise BadConfig(f"{file}: {error}") from error
