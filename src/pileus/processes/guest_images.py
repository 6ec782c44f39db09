"""The image every new cloud has: the small Linux built from Debian packages, registered once it is built."""

from __future__ import annotations

import asyncio
import logging

from pileus import guest_image
from pileus.image.client import Images as ImageClient
from pileus.processes.services import Services
from pileus.processes.state import StateFolder

log = logging.getLogger(__name__)
NAME = "cirros-pileus"           # tests and tutorials look for an image named like cirros
PROPERTIES = {"os_distro": "debian", "hw_rng_model": "virtio"}


async def provide(services: Services, state: StateFolder) -> None:
    """Build the image unless that was done, and have it in the image service."""
    images = services.client(ImageClient, "/image", "image")
    if await images.find_by_name(NAME) is not None:
        return
    folder = state.guest_image
    try:
        built = await asyncio.to_thread(guest_image.build, folder, folder / "packages", log.info)
    except guest_image.BuildFailed as error:
        log.error("the guest image could not be built: %s", error)
        return
    await images.ensure_image(NAME, built.disk, disk_format="qcow2", properties=PROPERTIES)
    log.info("image %s is there", NAME)
