"""Takes guests' metadata requests in service and router namespaces; where one came in tells who asks."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

import h11
import msgspec

from pileus.network.engine.linux import namespaces
from pileus.network.engine.linux.dhcp import METADATA
from pileus.network.engine.records import Neighbour

log = logging.getLogger(__name__)
MAX_BODY = 64 * 1024
MAX_HEAD = 16 * 1024
MAX_CONNECTIONS = 128     # per namespace
IDLE_SECONDS = 15.0
ANSWER_SECONDS = 30.0


class MetadataRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The port is known from network and address, so `headers` that claim an identity may be ignored."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    port_id: str
    device_id: str
    project_id: str
    remote_address: str


class MetadataResponse(msgspec.Struct, frozen=True, kw_only=True):
    status: int
    headers: dict[str, str] = {}
    body: bytes = b""


REASONS = {status.value: status.phrase for status in HTTPStatus}
Answer = Callable[[MetadataRequest], Awaitable[MetadataResponse]]


class Listener:
    """One listening socket; `neighbours` is who may ask, by address."""

    def __init__(self, namespace: str, answer: Answer, address: tuple[str, int] = (METADATA, 80), device: str = "lo"):
        self.answer = answer
        self.neighbours: Mapping[str, Neighbour] = {}
        self.socket = namespaces.inside(namespace, lambda: _open(address, device))
        self.server: asyncio.Server | None = None
        self.writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self.server = await asyncio.start_server(self._serve, sock=self.socket, limit=MAX_HEAD)

    def close(self) -> None:
        if self.server is not None:
            self.server.close()
        self.socket.close()
        for writer in list(self.writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self.writers) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        self.writers.add(writer)
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        try:
            while await self._one(connection, reader, writer):
                connection.start_next_cycle()
        except (TimeoutError, ConnectionError):
            writer.transport.abort()
        except h11.RemoteProtocolError as error:
            await _send(connection, writer, MetadataResponse(status=error.error_status_hint))
        except h11.LocalProtocolError:
            log.exception("the answer to a metadata request was no HTTP")
            writer.transport.abort()
        finally:
            self.writers.discard(writer)
            writer.close()

    async def _one(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
    ) -> bool:
        """One request and its answer; false when the connection is over."""
        async with asyncio.timeout(IDLE_SECONDS):
            head = await _event(connection, reader, writer)
            if not isinstance(head, h11.Request):
                return False
            body = b""
            while isinstance(event := await _event(connection, reader, writer), h11.Data):
                body += event.data
                if len(body) > MAX_BODY:
                    await _send(connection, writer, MetadataResponse(status=413))
                    return False
            if not isinstance(event, h11.EndOfMessage):
                return False
        response = await self._response(head, body, str(writer.get_extra_info("peername")[0]).partition("%")[0])
        await _send(connection, writer, response, bodiless=head.method == b"HEAD")
        return connection.our_state is h11.DONE and connection.their_state is h11.DONE

    async def _response(self, head: h11.Request, body: bytes, address: str) -> MetadataResponse:
        asker = self.neighbours.get(address)
        if asker is None:
            return MetadataResponse(status=404, body=b"no port of this network has that address\n")
        request = MetadataRequest(
            method=head.method.decode("ascii"), path=head.target.decode("ascii"), body=body,
            headers={name.decode("ascii"): value.decode("latin-1") for name, value in head.headers},
            port_id=asker.port_id, device_id=asker.device_id, project_id=asker.project_id, remote_address=address)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self.answer(request)
        except Exception:
            log.exception("metadata for port %s could not be answered", asker.port_id)
            return MetadataResponse(status=503)


async def _event(connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
    while (event := connection.next_event()) is h11.NEED_DATA:
        if connection.they_are_waiting_for_100_continue:
            writer.write(connection.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
        connection.receive_data(await reader.read(MAX_HEAD))
    return event


async def _send(
    connection: h11.Connection, writer: asyncio.StreamWriter, response: MetadataResponse, *, bodiless: bool = False,
) -> None:
    if connection.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
        return
    headers = {name.lower(): value for name, value in response.headers.items()}
    headers |= {"content-length": str(len(response.body))}
    sent = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
    reason = REASONS.get(response.status, "").encode("ascii")
    data = connection.send(h11.Response(status_code=response.status, headers=sent, reason=reason)) or b""
    if not bodiless and response.body:
        data += connection.send(h11.Data(data=response.body)) or b""
    writer.write(data + (connection.send(h11.EndOfMessage()) or b""))
    async with asyncio.timeout(IDLE_SECONDS):
        await writer.drain()


def _open(address: tuple[str, int], device: str) -> socket.socket:
    """One with a scope of its own, as IPv6's has, is at the device."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((*address, 0, socket.if_nametoindex(device)))
    else:
        made.bind(address)
    made.listen(128)
    return made
