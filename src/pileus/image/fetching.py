"""Fetching an image from a web server: only from where the operator lets it, whatever names and redirects say.

A name is resolved once, all its addresses are judged, and the connection goes to a judged address: a name that
resolves differently a moment later gains nothing. Every redirect is judged anew.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from urllib.parse import urljoin, urlsplit

import httpx
import msgspec

from pileus.image.config import ImageConfig
from pileus.kit.client import trust
from pileus.kit.numbers import digits

PORTS = {"http": 80, "https": 443}
REDIRECTS, MOST_REDIRECTS = (301, 302, 303, 307, 308), 5
MOST_BREAKS = 5                 # of a connection, with nothing new between them
TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class NotAllowed(Exception):
    """The message says what the address is and why it is refused."""


class FetchFailed(Exception):
    """The message says what the server answered, or that it did not."""


class Place(msgspec.Struct, frozen=True):
    scheme: str
    host: str
    port: int
    target: str                     # path and query


def place(url: str, config: ImageConfig) -> Place:
    """Where `url` leads, if what can be told without asking anybody lets us go there. Raises NotAllowed."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise NotAllowed(f"URI {url:.200} does not pass filtering: {error}") from None
    host = (parts.hostname or "").rstrip(".")
    usual = PORTS.get(parts.scheme)
    allowed = (usual is not None and host and parts.username is None and host.isascii()
               and not any(mark <= " " for mark in url)
               and (port or usual) in config.import_ports and host not in config.import_refused_hosts
               and (not config.import_hosts or host in config.import_hosts))
    if not allowed or usual is None:
        raise NotAllowed(f"URI {url:.200} does not pass filtering of its scheme, host and port.")
    try:
        literal = ipaddress.ip_address(host)
    except ValueError:
        literal = None
    if literal is not None:
        judge(literal, url, config)
    return Place(parts.scheme, host, port or usual, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))


def judge(address: Address, url: str, config: ImageConfig) -> None:
    """Raises NotAllowed for addresses that are not of the public Internet, unless the operator named their network."""
    if any(address in ipaddress.ip_network(network) for network in config.import_networks):
        return
    meant: list[Address] = [address]
    if isinstance(address, ipaddress.IPv6Address):      # addresses that carry another one, and lead there
        carried = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
        if address in _NAT64:
            carried.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        meant += [each for each in carried if each is not None]
    if any(not each.is_global or each.is_multicast for each in meant):
        raise NotAllowed(f"URI {url:.200} does not pass filtering: {address} is not a public address.")


async def resolve(where: Place, url: str, config: ImageConfig) -> str:
    """The address to connect to; all that the name stands for are judged."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise FetchFailed(f"{where.host} cannot be found: {error}") from error
    addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
    for each in addresses:
        judge(ipaddress.ip_address(each), url, config)
    return addresses[0]


def new_client() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=TIMEOUT, verify=trust(), trust_env=False, follow_redirects=False)


@asynccontextmanager
async def fetch(url: str, config: ImageConfig) -> AsyncIterator[tuple[AsyncIterator[bytes], int | None]]:
    """The body in pieces as it was sent, and how long the server says it is. Where a connection breaks, the rest is
    asked for, if the server can tell that it still has the same (RFC 9110, If-Range). Raises NotAllowed, FetchFailed.
    """
    async with new_client() as client:
        answer = await ask(client, url, config)
        async with aclosing(_to_the_end(client, answer, url, config)) as body:
            yield body, length_of(answer)


async def _to_the_end(client: httpx.AsyncClient, answer: httpx.Response, url: str,
                      config: ImageConfig) -> AsyncGenerator[bytes, None]:
    same, had, breaks = answer.headers.get("etag", ""), 0, 0
    resumable = same.startswith('"') and length_of(answer) is not None           # a weak one says too little
    while True:
        try:
            async for piece in pieces(answer, url):
                had, breaks = had + len(piece), 0
                yield piece
            return
        except FetchFailed:
            breaks += 1
            if not (resumable and had) or breaks > MOST_BREAKS:
                raise
        finally:
            await answer.aclose()
        answer = await ask(client, url, config, had, same)
        if answer.status_code != 206:
            await answer.aclose()
            raise FetchFailed(f"{url:.200} cannot be read to its end: it has changed meanwhile")


def length_of(answer: httpx.Response) -> int | None:
    return digits(answer.headers.get("content-length", ""))


async def ask(client: httpx.AsyncClient, url: str, config: ImageConfig, first: int = 0,
              same: str = "") -> httpx.Response:
    """An open answer with the body from byte `first` on (206), or the whole of it (200), which it is as well where the
    server has no longer the `same` (an ETag); whoever asks closes it.

    Raises NotAllowed, FetchFailed.
    """
    for _ in range(MOST_REDIRECTS + 1):
        answer = await _ask(client, url, config, first, same)
        if answer.status_code == 200 or (answer.status_code == 206 and first and _begins_at(answer, first)):
            return answer
        await answer.aclose()
        if answer.status_code not in REDIRECTS or "location" not in answer.headers:
            raise FetchFailed(f"{url:.200} answered {answer.status_code}")
        url = urljoin(url, answer.headers["location"])
    raise FetchFailed(f"{url:.200} redirects too often")


def _begins_at(answer: httpx.Response, first: int) -> bool:
    return answer.headers.get("content-range", "").startswith(f"bytes {first}-")


async def _ask(client: httpx.AsyncClient, url: str, config: ImageConfig, first: int, same: str) -> httpx.Response:
    where = place(url, config)
    address = await resolve(where, url, config)
    connect_to = f"[{address}]" if ":" in address else address
    named = f"[{where.host}]" if ":" in where.host else where.host
    request = client.build_request(
        "GET", f"{where.scheme}://{connect_to}:{where.port}{where.target}", extensions={"sni_hostname": where.host},
        headers={"host": f"{named}:{where.port}" if where.port != PORTS[where.scheme] else named,
                 "accept-encoding": "identity", **({"range": f"bytes={first}-"} if first else {}),
                 **({"if-range": same} if same else {})})
    try:
        return await client.send(request, stream=True)
    except httpx.HTTPError as error:
        raise FetchFailed(f"{url:.200} cannot be read: {error!r}") from error


async def pieces(answer: httpx.Response, url: str) -> AsyncIterator[bytes]:
    try:
        async for piece in answer.aiter_raw():
            yield piece
    except httpx.HTTPError as error:
        raise FetchFailed(f"{url:.200} cannot be read to its end: {error!r}") from error
