"""How ports are called in the domain name system."""


def plain_name(ip: str) -> str:
    """Of an address whose port has no name of its own."""
    return "host-" + ip.replace(".", "-").replace(":", "-")


def without_dot(domain: str) -> str:
    return domain.rstrip(".").lower()
