"""The DHCP responder's messages, byte by byte where it matters."""

import struct
from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st

from pileus.network.engine.linux.dhcp import ACK, DISCOVER, INFORM, NAK, OFFER, REQUEST, Lease, answer, leases, parse
from pileus.network.engine.records import FixedIp, HostRoute, Network, Port, Subnet

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
    found = leases(network, subnets, ports, ("9.9.9.9", "2620:fe::fe"))
    assert list(found) == ["fa:16:3e:00:00:01"]
    lease = found["fa:16:3e:00:00:01"]
    assert lease.dns == ("9.9.9.9",) and lease.mtu == 1400 and lease.hostname == "host-10-0-0-11"
    assert lease.routes == (
        ("169.254.169.254/32", "10.0.0.2"), ("10.9.0.0/16", "10.0.0.9"), ("0.0.0.0/0", "10.0.0.1"))
