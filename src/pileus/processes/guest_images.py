"""The image every new cloud has: the small Linux built from Debian packages, registered once it is built."""

from __future__ import annotations

import asyncio
import logging

from pileus.image.client import ImageClient
from pileus.processes.build_guest_image import NAME, disk_of
from pileus.processes.services import Services
from pileus.processes.state import StateFolder

log = logging.getLogger(__name__)
PROPERTIES = {"os_distro": "debian", "hw_rng_model": "virtio", "os_admin_user": "cirros"}
LOOK_SECONDS = 0.2


async def provide(services: Services, state: StateFolder) -> None:
    """Have the image in the image service as soon as its build, which somebody else began, is done."""
    images = services.client(ImageClient, "/image", "image")
    if await images.find_by_name(NAME) is not None:
        return
    while not await asyncio.to_thread(disk_of(state.guest_image).exists):
        if await asyncio.to_thread(state.guest_image_failed.exists):
            log.error("the guest image could not be built: %s", state.guest_image_failed.read_text())
            return
        await asyncio.sleep(LOOK_SECONDS)
    await images.ensure_image(NAME, disk_of(state.guest_image), disk_format="qcow2", properties=PROPERTIES)
    log.info("image %s is there", NAME)
