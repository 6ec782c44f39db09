"""Small TCP and UDP ends that tests run inside guests: serve, ask, talk, send, hear."""

import concurrent.futures
import http.client
import os
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

SOL_PACKET, PACKET_AUXDATA = 263, 8


def _answer(connection: socket.socket, peer: str) -> None:
    with connection:
        connection.sendall(f"{peer}\n".encode())
        while data := connection.recv(4096):
            connection.sendall(data)


def _accept(server: socket.socket) -> None:
    while True:
        connection, peer = server.accept()
        threading.Thread(target=_answer, args=(connection, peer[0]), daemon=True).start()


def serve(*ports: str) -> None:
    """Tells each client its address, then echoes."""
    servers = [socket.create_server(("0.0.0.0", int(port))) for port in ports]
    threads = [threading.Thread(target=_accept, args=(server,), daemon=True) for server in servers]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    threads[0].join()


def _asked(address: str, port: str, seconds: float) -> str:
    """Asks until there is an answer, a refusal too, or that long; once in any case."""
    give_up = time.monotonic() + seconds
    while True:
        try:
            with socket.create_connection((address, int(port)), 4 if seconds else 1.5) as connection:
                return connection.makefile().readline().strip()
        except OSError as error:
            if not isinstance(error, ConnectionRefusedError) and time.monotonic() < give_up:
                time.sleep(0.1)
                continue
            return "Error" if type(error) is OSError else type(error).__name__


def ask(address: str, port: str, seconds: str) -> None:
    """Prints the address that the server sees."""
    print(_asked(address, port, float(seconds)))


def asks(*targets: str) -> None:
    """The same of each ADDRESS:PORT, all at once and once only, in their order."""
    with concurrent.futures.ThreadPoolExecutor(len(targets)) as pool:
        print("\n".join(pool.map(lambda target: _asked(*target.rsplit(":", 1), 0), targets)))


def talk(address: str, port: str) -> None:
    """Sends each line it is given and prints 'echo' or 'silence'; unsent lines are retransmitted by the kernel."""
    with socket.create_connection((address, int(port)), 15) as connection:
        print(connection.makefile().readline().strip(), flush=True)
        for line in sys.stdin:
            connection.sendall(line.encode())
            connection.settimeout(float(line))
            try:
                print("echo" if connection.recv(4096) else "closed", flush=True)
            except TimeoutError:
                print("silence", flush=True)


def stream(address: str, port: str) -> None:
    """Sends and hears its echo as fast as it goes, until it is told to end: how many mebibytes came back."""
    with socket.create_connection((address, int(port)), 15) as connection:
        connection.makefile().readline()
        ended, came = threading.Event(), 0
        threading.Thread(target=lambda: (sys.stdin.readline(), ended.set()), daemon=True).start()
        print("ready", flush=True)
        block = bytes(1 << 16)
        while not ended.is_set():
            connection.sendall(block)
            left = len(block)
            while left:
                left -= len(connection.recv(left))
            came += len(block)
        print(came >> 20, flush=True)


def fetch(address: str, path: str, body: str = "") -> None:
    connection = http.client.HTTPConnection(address, 80, timeout=15)
    connection.request("POST" if body else "GET", path, body or None)
    answer = connection.getresponse()
    print(answer.status, answer.read().decode())


def send(source_port: str, address: str, port: str) -> None:
    """Several, as one may be lost."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("0.0.0.0", int(source_port)))
        for _ in range(5):
            sender.sendto(b"hello", (address, int(port)))
            time.sleep(0.05)


def tag(link: str) -> None:
    """Say the VLAN of the first frame with a tag that passes the link."""
    listener = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)      # of no protocol: till it is bound it hears none
    listener.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    listener.bind((link, 3))
    print("ready", flush=True)
    while True:
        _, beside, _, _ = listener.recvmsg(2048, 64)
        numbers = [struct.unpack_from("=IIIHHHH", data)[5] for *_, data in beside if len(data) >= 20]
        if any(numbers):
            print(numbers[0] & 0xFFF, flush=True)
            return


def told(port: str) -> None:
    """Say what the first who connects says, line by line; each is answered."""
    with socket.create_server(("0.0.0.0", int(port))) as server:
        print("ready", flush=True)
        connection, _ = server.accept()
        with connection, connection.makefile() as lines:
            for line in lines:
                print(line.strip(), flush=True)
                connection.sendall(b"+")


def tell(address: str, port: str, *texts: str) -> None:
    with socket.create_connection((address, int(port)), timeout=15) as connection:
        for text in texts:
            connection.sendall(f"{text}\r\n".encode())
            connection.recv(1)


def hear(port: str) -> None:
    """Say from where the first came."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("0.0.0.0", int(port)))
        print("ready", flush=True)
        _, peer = receiver.recvfrom(2048)
        print(f"heard {peer[0]} {peer[1]}", flush=True)


def _options(data: bytes) -> dict[int, bytes]:
    found, position = {}, 0
    while position < len(data):
        code, length = struct.unpack_from(">HH", data, position)
        found[code] = data[position + 4:position + 4 + length]
        position += 4 + length
    return found


def _exchange(server: socket.socket, tries: int, kind: int,
              *options: tuple[int, bytes]) -> tuple[int, dict[int, bytes]]:
    mac = Path("/sys/class/net/eth0/address").read_text().strip()
    identity = (1, b"\0\3\0\1" + bytes.fromhex(mac.replace(":", "")))
    body = b"".join(struct.pack(">HH", code, len(value)) + value for code, value in (identity, *options))
    index = socket.if_nametoindex("eth0")
    number = os.urandom(3)                      # late answers to an earlier question are none to this one
    for _ in range(tries):
        server.sendto(bytes([kind]) + number + body, ("ff02::1:2", 547, 0, index))
        try:
            while (data := server.recv(2048))[1:4] != number:
                continue
        except TimeoutError:
            continue
        return data[0], _options(data[4:])
    raise TimeoutError


def settled() -> None:
    """Ready once no address of the link is tentative any more, as nothing can be sent from one before."""
    while "tentative" in subprocess.run(["ip", "-6", "address", "show", "dev", "eth0"], capture_output=True,
                                        text=True, check=True).stdout:
        time.sleep(0.05)
    print("ready", flush=True)


def six(kind: str, tries: str) -> None:
    """DHCPv6 as a client: prints the addresses given, the DNS servers and the boot file."""
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        client.settimeout(1)
        client.bind(("::", 546))
        try:
            if kind == "inform":
                answered, told = _exchange(client, int(tries), 11)
            else:
                asked = (3, struct.pack(">III", 7, 0, 0))
                offered, told = _exchange(client, int(tries), 1, asked)
                assert offered == 2, offered
                answered, told = _exchange(client, int(tries), 3, (3, told[3]), (2, told[2]))
            assert answered == 7, answered
        except TimeoutError:
            print("silence")
            return
    given = _options(told[3][12:]) if 3 in told else {}
    address = socket.inet_ntop(socket.AF_INET6, given[5][:16]) if 5 in given else ""
    packed = told.get(23, b"")
    servers = [socket.inet_ntop(socket.AF_INET6, packed[i:i + 16]) for i in range(0, len(packed), 16)]
    print(f"address={address} dns={','.join(servers)} boot={told.get(59, b'').decode()}")


if __name__ == "__main__":
    {"serve": serve, "ask": ask, "asks": asks, "talk": talk, "fetch": fetch, "stream": stream, "send": send,
     "hear": hear, "settled": settled, "six": six, "tag": tag, "told": told,
     "tell": tell}[sys.argv[1]](*sys.argv[2:])
