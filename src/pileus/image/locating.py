"""Where the contents of images are: what is shown of it, and what owners may say of it by changing an image.

Contents in stores of ours stand first, those on web servers after them in the order their owner gave. What an owner
says in a change is believed; only the size is asked for. Locations that are read and hashed are added by another
request.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

import msgspec

from pileus.image import faults, signatures
from pileus.image.model.images import ACTIVE, NO_DATA, QUEUED, WEB, Image, Location
from pileus.image.patches import Change
from pileus.image.runtime import Images
from pileus.image.stores.base import NoSuchData
from pileus.kit.ids import new_uuid
from pileus.kit.numbers import digits

MOST = 10
ALGORITHM = "sha512"
ALGORITHMS = ("sha224", "sha256", "sha384", "sha512")
INVISIBLE = "It's not allowed to {operation} locations if locations are invisible."
Url = Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
Hex = Annotated[str, msgspec.Meta(pattern="^[0-9a-fA-F]+$", max_length=128)]
Checksum = Annotated[str, msgspec.Meta(pattern="^[0-9a-fA-F]{32}$")]


class Known(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What somebody says they know of the bytes."""

    os_hash_algo: str
    os_hash_value: Hex
    checksum: Checksum | None = None

    def must_make_sense(self) -> None:
        if self.os_hash_algo not in ALGORITHMS:
            raise faults.BadRequest(reason=f"os_hash_algo: {self.os_hash_algo:.40} is not one of"
                                           f" {', '.join(ALGORITHMS)}.")
        if len(self.os_hash_value) != 2 * hashlib.new(self.os_hash_algo).digest_size:
            raise faults.BadRequest(reason=f"os_hash_value is not the size of a {self.os_hash_algo} hash.")

    @property
    def columns(self) -> dict[str, Any]:
        told = {"os_hash_algo": self.os_hash_algo, "os_hash_value": self.os_hash_value.lower()}
        return told | ({"checksum": self.checksum.lower()} if self.checksum else {})


class Given(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A location as clients write it."""

    url: Url
    metadata: dict[str, Any]
    validation_data: Known | None = None

    @property
    def location(self) -> Location:
        return Location(url=self.url, metadata=self.metadata | {"store": WEB})


def shown(app: Images, image: Image) -> list[dict[str, Any]]:
    ours = [{"url": app.stores[name].url(image.data_id or ""), "metadata": {"store": name}}
            for name in app.stores if name in image.kept_in] if image.has_data else []
    return ours + [{"url": each.url, "metadata": each.metadata} for each in image.locations or []]


def must_be_usable(app: Images, image: Image, url: str) -> None:
    """Raises BadRequest: before anybody is asked."""
    try:
        if app.web is None:
            raise faults.BadRequest(reason="This cloud has no store for locations on web servers.")
        app.web.url(url)
    except NoSuchData as error:
        raise faults.BadRequest(reason=f"Invalid location: {error}") from None
    if None in (image.disk_format, image.container_format):
        raise faults.BadRequest(reason="'disk_format' and 'container_format' need to be set before a location")
    if all(image.properties.get(name) for name in signatures.NAMES):
        raise faults.BadRequest(reason="The content of a signed image must be uploaded or imported.")


async def size_of(app: Images, url: str) -> int:
    """As its server tells. Raises BadRequest."""
    try:
        reading = await app.web.read(url) if app.web is not None else None
    except NoSuchData as error:
        raise faults.BadRequest(reason=f"Invalid location: {error}") from error
    if reading is None:
        raise faults.BadRequest(reason="This cloud has no store for locations on web servers.")
    await reading.close()
    if reading.size > app.config.max_image_bytes:
        raise faults.TooBig(reason=f"Image exceeds the limit of {app.config.max_image_bytes} bytes.")
    return reading.size


def located(image: Image, where: Location, size: int) -> dict[str, Any]:
    """What changes of an image without content that is to be found there."""
    return NO_DATA | {"status": ACTIVE, "data_id": new_uuid(), "size": size, "locations": [where], "stores": []}


async def changed(app: Images, image: Image, change: Change) -> dict[str, Any]:
    """The columns that a change of /locations changes. Raises Forbidden, Conflict, BadRequest."""
    if not app.config.show_locations:
        raise faults.Forbidden(reason=INVISIBLE.format(operation=change.operation))
    if image.status not in (ACTIVE, QUEUED):
        raise faults.Conflict(reason=f"It's not allowed to {change.operation} locations if image status is"
                                     f" {image.status}.")
    if change.operation == "remove":
        return _without(app, image, change)
    if change.operation == "add" and change.at is not None:
        return await _with(app, image, change)
    return await _replaced(app, image, _given(change.value, list[Given]))


def _given(value: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise faults.BadRequest(reason=f"Invalid location: {error}") from None


def _position(change: Change, most: int) -> int:
    if change.at == "-" and change.operation == "add":
        return most
    number = digits(change.at or "")
    if number is None or number > most:
        raise faults.BadRequest(reason=f"Invalid position for a location: {change.at}.")
    return number


def _without(app: Images, image: Image, change: Change) -> dict[str, Any]:
    here, there = [name for name in app.stores if name in image.kept_in], list(image.locations or [])
    at = _position(change, len(here) + len(there) - 1)
    if len(here) + len(there) <= 1:
        raise faults.Forbidden(reason="The last location of an image may not be removed.")
    if at < len(here):
        raise faults.Forbidden(reason=f"Contents in store {here[at]} are deleted by the requests for stores.")
    del there[at - len(here)]
    return {"locations": there}


async def _with(app: Images, image: Image, change: Change) -> dict[str, Any]:
    given: Given = _given(change.value, Given)
    fresh, there = image.status == QUEUED, [] if image.status == QUEUED else list(image.locations or [])
    before = 0 if fresh else len(image.kept_in)
    at = max(0, _position(change, before + len(there)) - before)
    must_be_usable(app, image, given.url)
    if any(each.url == given.url for each in there):
        raise faults.BadRequest(reason="The location is one of the image's already.")
    if len(there) >= MOST:
        raise faults.TooBig(reason=f"The limit has been exceeded on the number of image locations: {MOST}.")
    columns = _fitting(image, given.validation_data, fresh)
    size = await size_of(app, given.url)
    if fresh:
        return located(image, given.location, size) | columns
    there.insert(at, given.location)
    return {"locations": there} | columns


def _fitting(image: Image, known: Known | None, fresh: bool) -> dict[str, Any]:
    """What is said of the bytes, where nothing is known of them. Raises Conflict where something else is."""
    if known is None:
        return {}
    have = {} if fresh else {name: getattr(image, name) for name in ("checksum", "os_hash_algo", "os_hash_value")}
    if any(have.get(name) not in (None, value) for name, value in known.columns.items()):
        raise faults.Conflict(reason="validation_data does not agree with what is known of the image.")
    known.must_make_sense()
    return known.columns


async def _replaced(app: Images, image: Image, given: list[Given]) -> dict[str, Any]:
    """All at once: the same places with other metadata, or the first ones of an image without content."""
    now = shown(app, image) if image.status == ACTIVE else []
    if not now and given:
        columns = await _with(app, image, Change("add", "locations", msgspec.to_builtins(given[0]), "-"))
        for each in given[1:]:
            image = msgspec.structs.replace(image, **{"status": ACTIVE, "stores": []} | columns)
            columns |= await _with(app, image, Change("add", "locations", msgspec.to_builtins(each), "-"))
        return columns
    if not given and now:
        raise faults.Forbidden(reason="The last location of an image may not be removed.")
    if [each["url"] for each in now] != [each.url for each in given]:
        raise faults.BadRequest(reason="Cannot replace locations from a non-empty list to another non-empty list.")
    ours = len(now) - len(image.locations or [])
    if any(new.metadata != old["metadata"] for new, old in zip(given[:ours], now, strict=False)):
        raise faults.BadRequest(reason="What a store says of its contents cannot be changed.")
    return {"locations": [each.location for each in given[ours:]]} if now else {}
