"""By which leg of a router what goes where: its own routes, and default routes by its gateways.

Of several gateways each has a table of its own, for what has its address there: the router itself, and guests by their
floating IPs. Everything else leaves by the first, or by all of them; where they are watched, by those that speak.
"""

from collections import defaultdict
from collections.abc import Collection
from ipaddress import ip_address, ip_interface

from pileus.network.engine.linux import names
from pileus.network.engine.linux.bfd import Neighbour
from pileus.network.engine.linux.links import Hop, Links, Route, Rule
from pileus.network.engine.linux.translation import by_leg
from pileus.network.engine.records import GatewayLeg, RouterSlice

EVERYWHERE = {4: "0.0.0.0/0", 6: "::/0"}
TABLES = 1000             # number of the first gateway's own table


def settle_routing(links: Links, router: RouterSlice, silent: Collection[tuple[str, str]] = ()) -> list[str]:
    """`silent` are next hops, by link and address, that are left out as long as others speak. Raises EngineFailed."""
    present = {name: link.index for name, link in links.links().items()}
    found, rules = links.routes(), links.rules()
    wanted = {(route.table, route.destination): route for route in routes_of(router, present, silent)}
    changes = []
    for route in sorted(found):
        if (route.table, route.destination) not in wanted:
            links.delete_route(route)
            changes.append(f"{route} removed")
    for route in sorted(set(wanted.values()) - found):
        links.put_route(route)
        changes.append(f"{route} added")
    for rule in sorted(rules - rules_of(router)):
        links.delete_rule(rule)
        changes.append(f"{rule} removed")
    for rule in sorted(rules_of(router) - rules):
        links.add_rule(rule)
        changes.append(f"{rule} added")
    return changes


def routes_of(router: RouterSlice, present: dict[str, int], silent: Collection[tuple[str, str]]) -> list[Route]:
    """`present` are the numbers of links by their names."""
    ways = [(way, present.get(names.link(names.GATEWAY_LEG, way.port_id), 0)) for way in router.gateways]
    near = [(ip_interface(address).network, present.get(names.link(names.LEG, leg.port_id), 0))
            for leg in router.legs for address in leg.addresses]
    near += [(ip_interface(address).network, link) for way, link in ways for address in way.addresses]
    own: dict[str, list[Hop]] = defaultdict(list)
    for route in router.routes:
        link = next((link for network, link in near if ip_address(route.nexthop) in network), 0)
        own[route.destination].append(Hop(route.nexthop, link))
    mute = {(address, present.get(link, 0)) for link, address in silent}
    for version, everything in EVERYWHERE.items():
        hops = [hop for way, link in ways for hop in _hops(way, link, version)]
        hops = [hop for hop in hops if (hop.address, hop.link) not in mute] or hops
        if hops and everything not in own:
            own[everything] = hops if router.ecmp else hops[:1]
    found = [Route(destination, tuple(sorted(hops))) for destination, hops in own.items()]
    for number, (way, link) in enumerate(ways if ways[1:] else ()):
        for version, everything in EVERYWHERE.items():
            if hops := _hops(way, link, version):
                found.append(Route(everything, tuple(hops), TABLES + number))
    return found


def _hops(way: GatewayLeg, link: int, version: int) -> list[Hop]:
    """The first will do: those of several subnets of a network are neighbours."""
    return [Hop(hop, link) for hop in way.nexthops if ip_address(hop).version == version][:1]


def neighbours_of(router: RouterSlice) -> list[Neighbour]:
    """Whom it is to watch."""
    found = []
    for way in router.gateways if router.watched else ():
        link = names.link(names.GATEWAY_LEG, way.port_id)
        for hop in (hop for version in EVERYWHERE for hop in _hops(way, 0, version)):
            own = next((ip_interface(address) for address in way.addresses
                        if ip_address(hop.address) in ip_interface(address).network), None)
            found += [Neighbour(hop.address, str(own.ip), link)] if own is not None else []
    return found


def rules_of(router: RouterSlice) -> set[Rule]:
    if len(router.gateways) < 2:
        return set()
    floating = by_leg(router)
    found = {Rule(version) for version in EVERYWHERE}
    taken: set[str] = set()
    for number, way in enumerate(router.gateways):
        here = [one.fixed_ip for one in floating.get(names.link(names.GATEWAY_LEG, way.port_id), ()) if one.fixed_ip]
        for ip in (ip_address(address.split("/")[0]) for address in (*way.addresses, *here)):
            if str(ip) not in taken:
                taken.add(str(ip))
                found.add(Rule(ip.version, f"{ip}/{ip.max_prefixlen}", TABLES + number))
    return found
