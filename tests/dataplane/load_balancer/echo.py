"""An HTTP server that tells its name, the path it was asked for and the headers it was sent: NAME ADDRESS PORT."""

import http.server
import json
import socket
import struct
import sys
from typing import Any

NAME, ADDRESS, PORT = sys.argv[1], sys.argv[2], int(sys.argv[3])


def proxied(stream: Any) -> list[str]:
    """By the PROXY protocol, of either version: who asked whom."""
    begin = stream.peek(12)
    if begin.startswith(b"PROXY "):
        return stream.readline().decode().split()[2:4]
    if begin.startswith(b"\r\n\r\n\0\r\nQUIT\n"):
        rest = stream.read(struct.unpack("!12xBBH", stream.read(16))[2])
        return [socket.inet_ntoa(rest[:4]), socket.inet_ntoa(rest[4:8])]
    return []


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def handle(self) -> None:
        self.proxied = proxied(self.rfile)
        super().handle()

    def do_GET(self) -> None:
        body = json.dumps({"name": NAME, "path": self.path, "proxied": self.proxied, "headers": {
            name.lower(): value for name, value in self.headers.items()}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Set-Cookie", f"SESSION={NAME}")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6 if ":" in ADDRESS else socket.AF_INET
    daemon_threads = True


Server((ADDRESS, PORT), Handler).serve_forever()
