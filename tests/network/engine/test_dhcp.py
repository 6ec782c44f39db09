"""The DHCP responder's messages, byte by byte where it matters."""

import struct
from ipaddress import IPv4Address, ip_address

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from pileus.network.engine.linux import dhcp6
from pileus.network.engine.linux.dhcp import ACK, DISCOVER, INFORM, NAK, OFFER, REQUEST, Lease, answer, leases, parse
from pileus.network.engine.linux.dhcp_options import extra_four
from pileus.network.engine.records import DhcpOption, FixedIp, HostRoute, Network, Port, Subnet

LEASE = Lease(
    ip="10.0.0.11", network="10.0.0.0/24", server="10.0.0.2", router="10.0.0.1", mtu=1450, dns=("10.0.0.3",),
    routes=(("169.254.169.254/32", "10.0.0.2"), ("0.0.0.0/0", "10.0.0.1")), hostname="web", domain="cloud.test")


def packed(address: str) -> bytes:
    return IPv4Address(address).packed


def message(kind: int, *options: tuple[int, bytes], client: str = "0.0.0.0") -> bytes:
    head = b"\x01\x01\x06\0" + b"abcd" + b"\0\0\x80\0" + packed(client) + bytes(12)
    body = head + bytes.fromhex("fa163e000001") + bytes(10) + bytes(192) + b"\x63\x82\x53\x63"
    return body + b"".join(bytes([c, len(v)]) + v for c, v in ((53, bytes([kind])), *options)) + b"\xff"


def reply(packet: bytes) -> tuple[int, str, dict[int, bytes], str] | None:
    """Kind, offered address, options and destination of the answer."""
    question = parse(packet)
    assert question is not None and question.mac == "fa:16:3e:00:00:01"
    answered = answer(question, LEASE)
    if answered is None:
        return None
    data, destination = answered
    options, position = {}, 240
    while data[position] != 255:
        options[data[position]] = data[position + 2:position + 2 + data[position + 1]]
        position += 2 + data[position + 1]
    return options[53][0], str(IPv4Address(data[16:20])), options, destination


def test_discover_is_offered_the_records_address():
    kind, address, options, destination = reply(message(DISCOVER)) or (0, "", {}, "")
    assert (kind, address, destination) == (OFFER, "10.0.0.11", "255.255.255.255")
    assert options[1] == packed("255.255.255.0") and options[3] == packed("10.0.0.1")
    assert options[54] == packed("10.0.0.2")
    assert options[6] == packed("10.0.0.3") and options[12] == b"web" and options[15] == b"cloud.test"
    assert options[26] == struct.pack(">H", 1450) and struct.unpack(">I", options[51])[0] > 3600
    assert options[121] == bytes([32, 169, 254, 169, 254]) + packed("10.0.0.2") + b"\0" + packed("10.0.0.1")


def test_request_is_acknowledged_or_refused():
    asked = (50, packed("10.0.0.11"))
    assert (reply(message(REQUEST, asked, (54, packed("10.0.0.2")))) or [0])[0] == ACK
    assert (reply(message(REQUEST, (50, packed("10.0.0.99")))) or [0])[0] == NAK
    assert reply(message(REQUEST, asked, (54, packed("10.9.9.9")))) is None, "meant for another server"


def test_renewal_is_answered_to_the_client_itself():
    answered = reply(message(REQUEST, client="10.0.0.11"))
    assert answered is not None and (answered[0], answered[3]) == (ACK, "10.0.0.11")
    refused = reply(message(REQUEST, client="10.0.0.50"))
    assert refused is not None and (refused[0], refused[3]) == (NAK, "255.255.255.255")


def test_inform_gets_options_but_no_lease():
    answered = reply(message(INFORM, client="10.0.0.11"))
    assert answered is not None and answered[0] == ACK and answered[1] == "0.0.0.0" and 51 not in answered[2]


def test_long_options_are_split():
    routes = tuple((f"10.{i}.0.0/16", "10.0.0.1") for i in range(60))
    question = parse(message(DISCOVER))
    assert question is not None
    lease = Lease(ip="10.0.0.11", network="10.0.0.0/24", server="10.0.0.2", routes=routes)
    data, _ = answer(question, lease) or (b"", "")
    again = parse(b"\x01" + data[1:])
    assert again is not None and len(again.options[121]) == 60 * 7


@given(st.binary(max_size=600))
def test_nothing_a_guest_sends_breaks_the_parser(data: bytes):
    for packet in (data, message(DISCOVER)[:240] + data):
        question = parse(packet)
        if question is not None:
            answer(question, LEASE)


def test_leases_come_from_records():
    network = Network(id="n", mtu=1400)
    subnets = [
        Subnet(id="s", network_id="n", cidr="10.0.0.0/24", gateway_ip="10.0.0.1", dhcp_server_ip="10.0.0.2",
               host_routes=(HostRoute(destination="10.9.0.0/16", nexthop="10.0.0.9"),)),
        Subnet(id="t", network_id="n", cidr="10.1.0.0/24", enable_dhcp=False, dhcp_server_ip="10.1.0.2")]
    ports = [
        Port(id="p", network_id="n", mac="FA:16:3e:00:00:01", fixed_ips=(FixedIp(subnet_id="s", ip="10.0.0.11"),)),
        Port(id="q", network_id="n", mac="fa:16:3e:00:00:02", fixed_ips=(FixedIp(subnet_id="t", ip="10.1.0.11"),))]
    found = leases(network, subnets, ports)
    assert list(found) == ["fa:16:3e:00:00:01"]
    lease = found["fa:16:3e:00:00:01"]
    assert lease.dns == ("10.0.0.2",) and lease.mtu == 1400 and lease.hostname == "host-10-0-0-11"
    assert lease.routes == (
        ("169.254.169.254/32", "10.0.0.2"), ("10.9.0.0/16", "10.0.0.9"), ("0.0.0.0/0", "10.0.0.1"))


def test_extra_options_as_bytes():
    def four(name, value):
        return extra_four([DhcpOption(name=name, value=value)])
    assert four("bootfile-name", "pxelinux.0") == ((67, b"pxelinux.0"),)
    assert four("tftp-server", "10.0.0.7") == ((66, b"10.0.0.7"),), "this one is a name, also of digits"
    assert four("dns-server", "10.0.0.7,10.0.0.8") == ((6, packed("10.0.0.7") + packed("10.0.0.8")),)
    assert four("150", "10.0.0.7") == ((150, packed("10.0.0.7")),)
    assert four("option:mtu", "1400") == four("26", "1400") == ((26, struct.pack(">H", 1400)),)
    assert four("classless-static-route", "10.8.0.0/14,10.0.0.1") == ((121, b"\x0e\x0a\x08" + packed("10.0.0.1")),)
    assert four("domain-search", "a.test,b.test") == ((119, b"\x01a\x04test\0\x01b\x04test\0"),)
    for name, value in (("53", "1"), ("mtu", "x"), ("mtu", "99999"), ("121", "10.0.0.0/8"), ("no-such", "x")):
        assert four(name, value) == (), (name, value)
    assert extra_four([DhcpOption(name="67", value="x", ip_version=6)]) == ()
    told = reply_to(message(DISCOVER), msgspec.structs.replace(LEASE, extra=((15, b"own"), (150, packed("10.0.0.7")))))
    assert told[15] == b"own" and told[150] == packed("10.0.0.7")


def reply_to(packet: bytes, lease: Lease) -> dict[int, bytes]:
    question = parse(packet)
    answered = answer(question, lease) if question is not None else None
    assert answered is not None
    return {code: value for code, value in walk(answered[0])}


def walk(data: bytes):
    position = 240
    while data[position] != 255:
        yield data[position], data[position + 2:position + 2 + data[position + 1]]
        position += 2 + data[position + 1]


SERVER = b"\0\3\0\1\2\0\0\0\0\1"
CLIENT = dhcp6.option(dhcp6.CLIENT_ID, b"\0\3\0\1" + bytes.fromhex("fa163e000001"))
LEASE6 = dhcp6.Lease6(ips=("fd00::a",), dns=("fd00::53",), domain="cloud.test")


def ask6(kind: int, *options: bytes, lease: dhcp6.Lease6 = LEASE6) -> tuple[int, dict[int, bytes]] | None:
    question = dhcp6.parse(bytes([kind]) + b"abc" + b"".join(options))
    replied = dhcp6.answer(question, lease, SERVER) if question is not None else None
    return None if replied is None else (replied[0], dict(dhcp6.split(replied[4:]) or ()))


def test_six_gives_the_records_address():
    ia = dhcp6.option(dhcp6.IA_NA, struct.pack(">III", 7, 0, 0))
    kind, told = ask6(dhcp6.SOLICIT, CLIENT, ia) or (0, {})
    assert kind == dhcp6.ADVERTISE and told[dhcp6.SERVER_ID] == SERVER
    assert told[dhcp6.IA_NA][:4] == struct.pack(">I", 7) and ip_address("fd00::a").packed in told[dhcp6.IA_NA]
    assert told[dhcp6.DOMAIN_LIST] == b"\x05cloud\x04test\0"
    assert (ask6(dhcp6.SOLICIT, CLIENT, ia, dhcp6.option(dhcp6.RAPID, b"")) or (0,))[0] == dhcp6.REPLY
    assert ask6(dhcp6.REQUEST, CLIENT, ia) is None, "a request names its server"
    other = dhcp6.option(dhcp6.SERVER_ID, b"\0\3\0\1other!")
    assert ask6(dhcp6.REQUEST, CLIENT, ia, other) is None, "meant for another one"
    _, none = ask6(dhcp6.SOLICIT, CLIENT, ia, lease=dhcp6.Lease6()) or (0, {})
    assert dhcp6.option(dhcp6.STATUS, struct.pack(">H", dhcp6.NO_ADDRESS)) in none[dhcp6.IA_NA]
    held = dhcp6.option(dhcp6.IA_ADDRESS, ip_address("fd00::a").packed + bytes(8))
    strange = dhcp6.option(dhcp6.IA_ADDRESS, ip_address("fd01::a").packed + bytes(8))
    for inside, status in ((held, 0), (strange, dhcp6.NOT_ON_LINK)):
        asked = dhcp6.option(dhcp6.IA_NA, struct.pack(">III", 7, 0, 0) + inside)
        _, told = ask6(dhcp6.CONFIRM, CLIENT, asked) or (0, {})
        assert told[dhcp6.STATUS] == struct.pack(">H", status)


@given(st.binary(max_size=200))
def test_nothing_a_guest_sends_breaks_six(packet: bytes):
    question = dhcp6.parse(packet)
    assert question is None or isinstance(dhcp6.answer(question, LEASE6, SERVER), bytes | None)
    assert question is None or isinstance(dhcp6.client_mac(question), str | None)
