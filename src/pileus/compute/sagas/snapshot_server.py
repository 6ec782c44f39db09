"""An image of a server: its root disk at one moment, or snapshots of its volumes, where it boots from one; with
`rotation`, older ones of the same kind go."""

from __future__ import annotations

from pileus.compute.model import servers
from pileus.compute.model.states import State
from pileus.compute.sagas import guests, images
from pileus.compute.sagas.images import NewImage
from pileus.kit.saga import Abort, Saga, Turn, saga, step

MOST_BACKUPS = 1000


@saga("compute.snapshot_server")
class SnapshotServer(Saga, kw_only=True):
    server_id: str
    image: NewImage
    backup_type: str = ""
    rotation: int | None = None       # how many backups of that type are kept
    of_volumes: bool = False
    made: bool = False                # the image, with the request: where it is gone, somebody deleted it

    @step(local=True)
    async def accept(self, turn: Turn) -> None:
        """Nothing to do; the undo is what the user gets to see."""

    @accept.undo
    async def tell(self, turn: Turn) -> None:
        await guests.tell(turn, self.server_id)

    @step
    async def make_image(self, turn: Turn) -> None:
        if not self.made:
            await images.ensure(turn.services, await guests.server_of(turn, self.server_id), self.image)
        elif await turn.services.image.find(self.image.id) is None:
            raise Abort(f"Image {self.image.id} was deleted.")

    @make_image.undo
    async def remove_image(self, turn: Turn) -> None:
        await turn.services.image.remove(self.image.id)

    @step(timeout=600)
    async def snapshot_volumes(self, turn: Turn) -> None:
        """Each is known by the image it is made for, so that there is one, however often this is done."""
        if self.of_volumes:
            await images.describe_volumes(turn.services, self.server_id, self.image)

    @snapshot_volumes.undo
    async def remove_snapshots(self, turn: Turn) -> None:
        if self.of_volumes:
            await images.remove_snapshots(turn.services, self.server_id, self.image)

    @step(timeout=images.SAVE_SECONDS + 60)
    async def save(self, turn: Turn) -> None:
        if self.of_volumes:
            await images.save_nothing(turn.services, self.image.id)
        else:
            await images.save(turn.services, await guests.server_of(turn, self.server_id), self.image.id)

    @step(pivot=True)
    async def rotate(self, turn: Turn) -> None:
        if self.rotation is None:
            return
        found, _ = await turn.services.image.images(
            instance_uuid=self.server_id, backup_type=self.backup_type, image_type="backup", status="active",
            sort="created_at:desc", limit=MOST_BACKUPS)
        for image in found[self.rotation:]:
            await turn.services.image.remove(image.id)

    @step(local=True)
    async def mark(self, turn: Turn) -> None:
        """The row changed, so that who waits for changes looks again."""
        server = await servers.get(turn.tx, self.server_id)
        await servers.change(turn.tx, server, turn.services.clock(), state=State(server.state))
