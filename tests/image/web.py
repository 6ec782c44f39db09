"""A web server that images are fetched from."""

import asyncio
import re
from contextlib import asynccontextmanager, suppress


@asynccontextmanager
async def web_server(pages, *, ranges=False):
    """Answers each path of `pages` with its bytes, or with a whole answer when they begin with HTTP/."""
    asked = []

    async def serve(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(head)
        body = pages.get(head.split()[1])
        if body is None:
            writer.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        elif body.startswith(b"HTTP/"):
            writer.write(body)
        elif ranges and (wanted := re.search("range: bytes=([0-9]+)-", head.lower())):
            first = int(wanted[1])
            writer.write(f"HTTP/1.1 206 Partial Content\r\ncontent-range: bytes {first}-{len(body) - 1}/{len(body)}\r\n"
                         f"content-length: {len(body) - first}\r\nconnection: close\r\n\r\n".encode() + body[first:])
        else:
            writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body)
        with suppress(ConnectionError):              # of one who has read enough
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}", port, asked


def moved(url):
    return f"HTTP/1.1 302 Found\r\nlocation: {url}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode()
