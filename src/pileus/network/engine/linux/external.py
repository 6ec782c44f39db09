"""The outside of an embedded cloud: the bridge of the external network in the sandbox's namespace, and its way out."""

from ipaddress import ip_interface

from pileus.network.engine.linux import names, namespaces
from pileus.network.engine.linux.links import Links
from pileus.network.engine.linux.namespaces import HERE
from pileus.network.engine.linux.nft import Nft
from pileus.network.engine.linux.spaces import settle_addresses

TABLE = "pileus_outside"


def external_bridge(bridge: str, addresses: list[str], *, namespace: str = HERE, mtu: int = 1500) -> list[str]:
    """A bridge with the external subnets' gateway addresses, masqueraded towards everywhere else.

    The namespace must be one made for the cloud: forwarding is switched on in it. Already so: do nothing, say nothing.
    """
    changes: list[str] = []
    links = Links(namespace)
    try:
        link = links.find(bridge)
        if link is None:
            links.add_bridge(bridge, mtu)
            changes.append(f"bridge {bridge} added")
            link = links.one(bridge)
        own = names.far_mac(f"{namespace} {bridge}")        # chosen by nobody else, so not with each port that joins
        if link.mac != own:
            links.set_mac(link.index, own)
            changes.append(f"mac of {bridge} set")
        if not link.up:
            links.set_up(link.index)
        changes += settle_addresses(links, link, set(addresses))
    finally:
        links.close()
    settings = {"ipv4/ip_forward": "1", f"ipv4/conf/{bridge}/rp_filter": "0"}
    if any(":" in address for address in addresses):
        settings["ipv6/conf/all/forwarding"] = "1"
    namespaces.write_settings(namespace, settings)
    return changes + _masquerade(bridge, addresses, namespace)


def _masquerade(bridge: str, addresses: list[str], namespace: str) -> list[str]:
    networks = [str(ip_interface(address).network) for address in sorted(addresses) if ":" not in address]
    generation = "for_" + "_".join(network.replace(".", "_").replace("/", "_") for network in networks)
    rules = "".join(f'    ip saddr {net} ip daddr != {net} oifname != "{bridge}" masquerade\n' for net in networks)
    nft = Nft(namespace)
    try:
        if generation in nft.chains("ip", TABLE):
            return []
        nft.run(
            f"add table ip {TABLE}\ndelete table ip {TABLE}\ntable ip {TABLE} {{\n  chain {generation} {{\n"
            f"    type nat hook postrouting priority srcnat; policy accept;\n{rules}  }}\n}}\n")
    finally:
        nft.close()
    return [f"masquerading of {', '.join(networks)} set"]
