"""Rebuild: the same server on a new root disk, or with a new content of the volume that it boots from."""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.compute import guest_spec, volumes
from pileus.compute.messages import EnsureImage
from pileus.compute.model import servers
from pileus.compute.model.servers import ImageFacts, Server
from pileus.compute.model.states import Power, State
from pileus.compute.sagas import guests
from pileus.compute.sagas.hosts import ask
from pileus.kit.saga import Abort, Saga, Turn, Wait, saga, step


class Changes(msgspec.Struct, kw_only=True):
    """What a rebuild may change beside the image; all of it, changed or not."""

    name: str
    hostname: str
    description: str | None = None
    metadata: dict[str, str] = {}
    key_name: str | None = None
    key: dict[str, str] | None = None
    user_data: str | None = None
    personality: tuple[dict[str, str], ...] | None = None
    certificates: tuple[str, ...] | None = None
    access_ip_v4: str | None = None
    access_ip_v6: str | None = None
    disk_config: str = "MANUAL"

    @classmethod
    def of(cls, server: Server) -> Changes:
        """None at all."""
        return cls(**{name: getattr(server, name) for name in cls.__struct_fields__})


@saga("compute.rebuild_server")
class RebuildServer(Saga, kw_only=True):
    server_id: str
    image: ImageFacts | None          # None: it boots from a volume
    changes: Changes
    state: State                      # the server was in, and comes back to
    admin_password: str | None = None
    volume_image_id: str | None = None  # what the volume it boots from is to have; None: what it has
    before: Changes | None = None
    image_before: ImageFacts | None = None
    root_before: int = 0
    filling: bool = False

    @step(local=True)
    async def accept(self, turn: Turn) -> None:
        """The undo is what the user gets to see."""
        server = await servers.get(turn.tx, self.server_id)
        self.before, self.image_before, self.root_before = Changes.of(server), server.image, server.root or 0

    @accept.undo
    async def tell(self, turn: Turn) -> None:
        self.admin_password = None
        await guests.tell(turn, self.server_id)

    @step(timeout=600)
    async def fetch_image(self, turn: Turn) -> None:
        server = await guests.server_of(turn, self.server_id)
        if self.image is not None:
            await ask(turn.services, EnsureImage(image=guest_spec.as_image(self.image)), host=guests.host_of(server),
                      seconds=590)

    @step(timeout=180)
    async def stop_guest(self, turn: Turn) -> None:
        await guests.stop(turn.services, await guests.server_of(turn, self.server_id), soft=False)

    @stop_guest.undo
    async def start_again(self, turn: Turn) -> None:
        await guests.put_back(turn, self.server_id, self.state)

    @step(timeout=3600)
    async def fill_volume(self, turn: Turn) -> None:
        """Used by nobody meanwhile, and had by the server all the time."""
        if self.volume_image_id is None:
            return
        volume = turn.services.volume
        root = await volumes.root_of(turn.services, self.server_id)
        if not self.filling:
            await volumes.leave_host(turn.services, self.server_id)
            await volume.reimage(root.volume_id, self.volume_image_id)
            self.filling = True
            await turn.save()
        found = await volume.get(root.volume_id)
        if found.status == "downloading":
            raise Wait(volumes.POLL_SECONDS)
        if found.status == "error":
            raise Abort(f"Volume {found.id} could not be given the content of image {self.volume_image_id}.")
        await self.join_volumes(turn)

    @fill_volume.undo
    async def join_volumes(self, turn: Turn) -> None:
        server = await guests.server_of(turn, self.server_id)
        await volumes.join_host(turn.services, self.server_id, guests.host_of(server))

    @step(local=True)
    async def write_down(self, turn: Turn) -> None:
        await self._write(turn, self.changes, self.image, self.root_before + 1)

    @write_down.undo
    async def write_back(self, turn: Turn) -> None:
        if self.before is not None:
            await self._write(turn, self.before, self.image_before, self.root_before)

    async def _write(self, turn: Turn, changes: Changes, image: ImageFacts | None, root: int) -> None:
        server = await servers.get(turn.tx, self.server_id)
        values: dict[str, Any] = {name: getattr(changes, name) for name in changes.__struct_fields__}
        await servers.change(turn.tx, server, turn.services.clock(), image=image, root=root or None,
                             image_id=image.id if image else None, **values)

    @step(timeout=600, pivot=True)
    async def define_guest(self, turn: Turn) -> None:
        """The new root disk takes the place of the old one: from here there is no way back."""
        server = await guests.server_of(turn, self.server_id)
        await guests.define(turn.services, server, admin_password=self.admin_password)

    @step
    async def run_guest(self, turn: Turn) -> None:
        server = await guests.server_of(turn, self.server_id)
        await guests.bring_to(turn.services, server, self._comes_to)

    @property
    def _comes_to(self) -> State:
        return State.STOPPED if self.state == State.STOPPED else State.ACTIVE

    @step(local=True)
    async def mark(self, turn: Turn) -> None:
        self.admin_password = None
        server, now = await servers.get(turn.tx, self.server_id), turn.services.clock()
        power = Power.SHUTDOWN if self._comes_to == State.STOPPED else Power.RUNNING
        await servers.change(turn.tx, server, now, state=self._comes_to, power=power, launched_at=now, fault=None)
