"""Small TCP and UDP ends that tests run inside guests: serve, ask, talk, send, hear."""

import http.client
import socket
import sys
import threading


def _answer(connection: socket.socket, peer: str) -> None:
    with connection:
        connection.sendall(f"{peer}\n".encode())
        while data := connection.recv(4096):
            connection.sendall(data)


def serve(port: str) -> None:
    """Tells each client its address, then echoes."""
    with socket.create_server(("0.0.0.0", int(port))) as server:
        print("ready", flush=True)
        while True:
            connection, peer = server.accept()
            threading.Thread(target=_answer, args=(connection, peer[0]), daemon=True).start()


def ask(address: str, port: str) -> None:
    """Prints the address that the server sees."""
    try:
        with socket.create_connection((address, int(port)), 1.5) as connection:
            print(connection.makefile().readline().strip())
    except OSError as error:
        print(type(error).__name__)


def talk(address: str, port: str) -> None:
    """Sends each line it is given and prints 'echo' or 'silence'; unsent lines are retransmitted by the kernel."""
    with socket.create_connection((address, int(port)), 3) as connection:
        connection.settimeout(3)
        print(connection.makefile().readline().strip(), flush=True)
        for line in sys.stdin:
            connection.sendall(line.encode())
            connection.settimeout(float(line))
            try:
                print("echo" if connection.recv(4096) else "closed", flush=True)
            except TimeoutError:
                print("silence", flush=True)


def fetch(address: str, path: str, body: str = "") -> None:
    connection = http.client.HTTPConnection(address, timeout=3)
    connection.request("POST" if body else "GET", path, body or None)
    answer = connection.getresponse()
    print(answer.status, answer.read().decode())


def send(source_port: str, address: str, port: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("0.0.0.0", int(source_port)))
        sender.sendto(b"hello", (address, int(port)))


def hear(port: str, seconds: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("0.0.0.0", int(port)))
        receiver.settimeout(float(seconds))
        print("ready", flush=True)
        try:
            data, peer = receiver.recvfrom(2048)
            print(f"heard {peer[0]} {len(data)}")
        except TimeoutError:
            print("nothing")


if __name__ == "__main__":
    {"serve": serve, "ask": ask, "talk": talk, "fetch": fetch, "send": send, "hear": hear}[sys.argv[1]](*sys.argv[2:])
