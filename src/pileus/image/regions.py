"""Images of other regions, which the caller's token opens there as it does here: what glance-download fetches."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from pileus.image.client import Image, ImageClient
from pileus.kit.client import HttpTransport, Refused, Unreachable

CatalogOf = Callable[[str], Awaitable[list[dict[str, Any]]]]           # of the token's user


class NoImage(Exception):
    """The message says what is not there."""


async def image_service(catalog_of: CatalogOf, token: str, region: str, interface: str) -> str:
    """Where it answers, without a version. Raises NoImage."""
    try:
        catalog = await catalog_of(token)
    except (Refused, Unreachable) as error:
        raise NoImage(f"The catalog cannot be asked for region {region}: {error}") from error
    for service in catalog:
        for endpoint in service["endpoints"] if service["type"] == "image" else ():
            if endpoint["region_id"] == region and endpoint["interface"] == interface:
                return endpoint["url"].rstrip("/").removesuffix("/v2")
    raise NoImage(f"The catalog knows no {interface:.80} image service in region {region:.80}.")


@contextlib.asynccontextmanager
async def image_of(url: str, token: str, image_id: str) -> AsyncIterator[tuple[Image, AsyncIterator[bytes]]]:
    """An image of the service at `url`, and its content. Raises NoImage; Unreachable, where trying again may help."""
    async def given() -> str:
        return token

    transport = HttpTransport(url)
    client = ImageClient(transport, given)
    try:
        image = await client.get(image_id)
        if not image.is_active:
            raise NoImage(f"Image {image_id} of the other region is {image.status}, not active.")
        async with contextlib.aclosing(client.download(image_id)) as pieces:
            yield image, pieces
    except Refused as error:
        raise NoImage(f"The other region refuses image {image_id}: {error}") from error
    finally:
        await transport.close()
