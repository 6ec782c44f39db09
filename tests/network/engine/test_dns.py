"""Names: what is answered from records, what is asked of others, and what is no question at all."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.network.engine.linux.dns import AAAA, PTR, A, Zone, address_of, answer, host_resolvers, parse, zone_of
from pileus.network.engine.records import Neighbour, Network, NetworkSlice, Subnet


def question(name: str, kind: int, *, extended: bool = False) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"
    extra = b"\0" + struct.pack(">HHIH", 41, 4096, 0, 0) if extended else b""
    return b"ab" + struct.pack(">HHHHH", 0x100, 1, 0, 0, int(extended)) + labels + struct.pack(">HH", kind, 1) + extra


def network(*neighbours: Neighbour, servers: tuple[str, ...] = ()) -> NetworkSlice:
    subnet = Subnet(id="s", network_id="n", cidr="10.0.0.0/24", dhcp_server_ip="10.0.0.2", dns_nameservers=servers)
    return NetworkSlice(network=Network(id="n", dns_domains=("Corp.test.", "cloud.internal.")), subnets=(subnet,),
                        neighbours=neighbours)


WEB = Neighbour(port_id="p", mac="m", ips=("10.0.0.5", "fd00::5"), dns_name="Web", dns_domain="own.test.")
PLAIN = Neighbour(port_id="q", mac="m", ips=("10.0.0.6",))
ZONE = zone_of(network(WEB, PLAIN), ("192.0.2.53",))


def asked(name: str, kind: int, zone: Zone = ZONE, **more: bool) -> tuple[int, list[bytes]] | None:
    """The code and the data of the records that are answered."""
    packet = question(name, kind, **more)
    query = parse(packet)
    assert query is not None
    said = answer(query, zone, query.room)
    if said is None:
        return None
    flags, _, count, _, _ = struct.unpack_from(">HHHHH", said, 2)
    assert said[:2] == b"ab" and flags & 0x8500 == 0x8500 and said[12:12 + len(query.question)] == query.question
    found, position = [], 12 + len(query.question)
    for _ in range(count):
        length = struct.unpack_from(">H", said, position + 10)[0]
        found.append(said[position + 12:position + 12 + length])
        position += 12 + length
    return flags & 0xF, found


@pytest.mark.parametrize("name", ["web", "WEB.own.test", "web.corp.test", "web.cloud.internal"])
def test_names_of_a_port(name):
    assert asked(name, A) == (0, [bytes([10, 0, 0, 5])])
    assert asked(name, AAAA, extended=True) == (0, [bytes.fromhex("fd00" + "00" * 13 + "05")])
    assert asked(name, 15) == (0, []), "there is such a name, but no mail exchanger"


def test_addresses_without_names_have_plain_ones():
    assert asked("host-10-0-0-6.corp.test", A) == (0, [bytes([10, 0, 0, 6])])
    assert asked("6.0.0.10.in-addr.arpa", PTR) == (0, [b"\x0dhost-10-0-0-6\x04corp\x04test\0"])
    assert asked("5." + "0." * 27 + "0.0.d.f.ip6.arpa", PTR) == (0, [b"\x03web\x03own\x04test\0"])


def test_what_is_ours_but_not_there_is_not_asked_of_others():
    assert asked("nobody.corp.test", A) == asked("nobody", A) == (3, [])
    assert asked("corp.test", A) == (0, [])
    assert asked("example.org", A) is None and asked("9.0.0.10.in-addr.arpa", PTR) is None


def test_long_answers_are_cut_and_asked_again():
    many = zone_of(network(*(Neighbour(port_id=str(i), mac="m", ips=(f"10.0.0.{i}",), dns_name="all")
                             for i in range(1, 200))), ())
    query = parse(question("all", A))
    assert query is not None
    short, long = answer(query, many, query.room), answer(query, many, 65535)
    assert short is not None and long is not None
    assert short[2] & 0x02 and len(short) <= 512 and struct.unpack_from(">H", long, 6)[0] == 199


def test_who_is_asked_about_the_rest(tmp_path):
    assert ZONE.servers == {"10.0.0.2": ("192.0.2.53",)}
    own = zone_of(network(servers=("9.9.9.9", "127.0.0.1", "169.254.169.254")), ("192.0.2.53",))
    assert own.servers == {"10.0.0.2": ("9.9.9.9",)}, "a project does not reach the host's own services"
    file = tmp_path / "resolv.conf"
    assert host_resolvers(file) == ()
    file.write_text("search x\nnameserver 192.0.2.1\nnameserver 192.0.2.2\n")
    assert host_resolvers(file) == ("192.0.2.1", "192.0.2.2")
    assert address_of("1.2.3.4.5.in-addr.arpa") is address_of("z.in-addr.arpa") is address_of("1.ip6.arpa") is None


@given(st.binary(max_size=600))
def test_nothing_a_guest_sends_breaks_the_parser(data):
    for packet in (data, question("web.corp.test", A)[:12] + data):
        query = parse(packet)
        if query is not None:
            answer(query, ZONE, query.room)
