"""What an operator tells guests beyond what the cloud knows of them: from a file, and from services of the operator's.

The services are asked in upstream's way: a JSON object about the server is posted, a JSON object comes back.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec

from pileus.compute.model.servers import Server
from pileus.compute.runtime import Compute
from pileus.kit.client import HttpTransport, Unreachable

log = logging.getLogger(__name__)
ANSWER_SECONDS = 5.0
HEADERS = {"content-type": "application/json", "accept": "application/json", "user-agent": "pileus-vendordata"}


async def from_file(compute: Compute) -> dict[str, Any]:
    """Read anew each time. A file that is no JSON object is as none, and the log says so."""
    path = compute.guests.vendor_data
    if not path:
        return {}
    try:
        return msgspec.json.decode(await asyncio.to_thread(Path(path).read_bytes), type=dict[str, Any])
    except (OSError, msgspec.DecodeError) as error:
        log.warning("the vendor data in %s cannot be used: %s", path, error)
        return {}


async def of_all(compute: Compute, server: Server) -> dict[str, Any]:
    """The file's under `static`, and that of each service under its name. One that fails tells an empty object."""
    asked = compute.guests.vendor_data_services
    answers = await asyncio.gather(*(_ask(name, url, server) for name, url in asked.items()))
    static = {"static": found} if (found := await from_file(compute)) else {}
    return static | dict(zip(asked, answers, strict=True))


async def _ask(name: str, url: str, server: Server) -> dict[str, Any]:
    question = {"project-id": server.project_id, "instance-id": server.id, "image-id": server.image_id,
                "user-data": server.user_data, "hostname": server.hostname, "metadata": server.metadata,
                "boot-roles": ""}
    parts = urlsplit(url)
    transport = HttpTransport(f"{parts.scheme}://{parts.netloc}", timeout=ANSWER_SECONDS)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        reply = await transport.request("POST", path, HEADERS, msgspec.json.encode(question))
        if reply.status != 200:
            raise Unreachable(f"it answered {reply.status}")
        return msgspec.json.decode(reply.body, type=dict[str, Any])
    except (Unreachable, msgspec.DecodeError) as error:
        log.warning("vendor data service %s told nothing of server %s: %s", name, server.id, error)
        return {}
    finally:
        await transport.close()
