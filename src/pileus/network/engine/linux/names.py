"""How everything the engine makes on a host is called; what does not match these names is never touched."""

import hashlib
import re

TAP = "tap"
BRIDGE = "pb"             # of a network
VXLAN = "pv"              # of a network
SERVICE = "ps"            # host's end of the link into a network's service namespace
PHYSICAL = "px"           # host's end of the link to a physical network's bridge
FAR = "pf"                # that bridge's end of it
STEM = "pt"              # far end of a subport's tap, where its frames get and lose their tag
ROUTER = "pr"             # host's end of a router's leg
GATEWAY = "pg"            # end of a router's gateway leg at the bridge it is on
LEG = "qr-"               # router's end of a leg
GATEWAY_LEG = "qg-"       # router's end of its gateway leg
SERVICE_LEG = "service"   # a service namespace's end of its link
TABLE = "pileus"
OWN_LINK = re.compile(rf"({BRIDGE}|{VXLAN}|{SERVICE}|{PHYSICAL}|{STEM}|{ROUTER})[0-9a-z-]{{11}}")


def link(prefix: str, record_id: str) -> str:
    """At most 15 characters, as the kernel wants; 11 of an id are 40 random bits."""
    return prefix + record_id[:11]


def namespace(host: str, kind: str, record_id: str) -> str:
    return f"{host}.{kind}.{record_id[:11]}"


def namespaces_of(host: str) -> re.Pattern[str]:
    return re.compile(rf"{re.escape(host)}\.(router|service)\.[0-9a-z-]{{11}}")


def far_end(host: str, network_id: str) -> str:
    """Several hosts may reach one physical bridge, so the name there tells them apart."""
    return FAR + hashlib.sha256(f"{host} {network_id}".encode()).hexdigest()[:11]


def service_mac(network_id: str) -> str:
    """The same on every host: a guest that moves keeps its neighbour."""
    digest = hashlib.sha256(network_id.encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (2, *digest[:5]))


def far_mac(name: str) -> str:
    """Higher than any that a maker of cards has: a bridge that chooses the lowest of its ports' as its own, and with it
    what its neighbours know, stays with the one it has."""
    digest = hashlib.sha256(name.encode()).digest()
    return ":".join(f"{byte:02x}" for byte in (0xFE, *digest[:5]))


def short(record_id: str) -> str:
    """For names of chains and sets, which may not hold a dash."""
    return record_id.replace("-", "")[:16]
