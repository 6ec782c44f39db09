"""POST /servers: what may be asked for, checked against its owners, recorded with its saga in one transaction."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import string
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from pileus.compute import nics, port_needs, versions
from pileus.compute.api import block_devices
from pileus.compute.api.block_devices import BlockDevice, OldBlockDevice
from pileus.compute.api.hints import must_be_sound
from pileus.compute.api.personality import File, personality_of
from pileus.compute.api.room import kept_limits, must_fit_metadata, room_for, taken_by
from pileus.compute.api.server_groups import group_of_hint, room_in_group
from pileus.compute.api.servers import Name, action_of
from pileus.compute.api.values import address, hostname
from pileus.compute.faults import (
    BadFlavor,
    BadImage,
    BadKeypair,
    FlavorNotFound,
    FlavorTooSmall,
    ImageNotActive,
    KeypairNotFound,
    PromisedPorts,
    UserDataTooLarge,
)
from pileus.compute.hardware import BadHardware, hardware_of, wants_config_drive
from pileus.compute.links import Link, links_to
from pileus.compute.model import flavors, hosts, keypairs, quotas, servers
from pileus.compute.model.servers import FlavorCopy, ImageFacts, Server
from pileus.compute.model.tables import servers as server_table
from pileus.compute.sagas.boot_server import BootServer
from pileus.compute.volumes import VolumeWish, local_disks_of
from pileus.image.client import Image
from pileus.kit import db
from pileus.kit.client import Refused
from pileus.kit.faults import BadRequest, PolicyRefused
from pileus.kit.ids import is_uuid, new_uuid
from pileus.kit.numbers import whole
from pileus.kit.policy import ADMIN, PROJECT_MEMBER, Rule
from pileus.kit.routes import Routes
from pileus.kit.versions import since, until
from pileus.kit.web import Ctx

routes = Routes()
USER_DATA_BYTES = 65535
MOST_AT_ONCE = 1000
OF_ENCRYPTED_VOLUME = "cinder_encryption_key_id"      # property of such images
FORCE_HOST = Rule("os_compute_api:servers:create:forced_host", ADMIN)
CHOOSE_HOST = Rule("compute:servers:create:requested_destination", ADMIN)
RULES = (FORCE_HOST, CHOOSE_HOST)
Count = Annotated[int, msgspec.Meta(ge=1)]
Metadata = dict[Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern="^[a-zA-Z0-9-_:. ]{1,255}$")],
                Annotated[str, msgspec.Meta(max_length=255)]]


Tag = Annotated[str, msgspec.Meta(min_length=1, max_length=60, pattern="^[^,/]*$")]
MOST_TAGS = 50
Certificates = Annotated[list[Annotated[str, msgspec.Meta(min_length=1, max_length=255)]],
                         msgspec.Meta(min_length=1, max_length=50)]


class NetworkWish(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    uuid: str | None = None
    port: str | None = None
    fixed_ip: str | None = None
    tag: Annotated[Tag | None, since(versions.DEVICE_TAGS)] = None


class GroupName(msgspec.Struct, kw_only=True):
    name: str


class ServerCreate(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    name: Name
    flavor_id: str | int = msgspec.field(name="flavorRef")
    image_id: str = msgspec.field(name="imageRef", default="")
    networks: list[NetworkWish] | str | UnsetType = UNSET
    security_groups: list[GroupName] = []
    key_name: str | None = None
    user_data: str | None = None
    metadata: Metadata = {}
    config_drive: bool | str | None = None
    admin_password: str | None = msgspec.field(name="adminPass", default=None)
    zone: Annotated[str, msgspec.Meta(min_length=1, max_length=255)] | None = msgspec.field(
        name="availability_zone", default=None)
    access_ip_v4: str | None = msgspec.field(name="accessIPv4", default=None)
    access_ip_v6: str | None = msgspec.field(name="accessIPv6", default=None)
    disk_config: Literal["AUTO", "MANUAL"] = msgspec.field(name="OS-DCF:diskConfig", default="MANUAL")
    min_count: Count | str = 1
    max_count: Count | str | None = None
    return_reservation_id: bool | str = False
    block_devices: list[BlockDevice] = msgspec.field(name="block_device_mapping_v2", default_factory=list)
    old_devices: list[OldBlockDevice] = msgspec.field(name="block_device_mapping", default_factory=list)
    personality: Annotated[list[File], until(versions.NO_PERSONALITY)] = []
    description: Annotated[Annotated[str, msgspec.Meta(max_length=255)] | None, since(versions.DESCRIPTION)] = None
    tags: Annotated[Annotated[list[Tag], msgspec.Meta(max_length=MOST_TAGS)], since(versions.TAGS_AT_CREATE)] = []
    certificates: Annotated[Certificates | None, since(versions.TRUSTED_CERTIFICATES)] = msgspec.field(
        name="trusted_image_certificates", default=None)
    host: Annotated[str | None, since(versions.CHOSEN_HOST)] = None
    hypervisor_hostname: Annotated[str | None, since(versions.CHOSEN_HOST)] = None
    hostname: Annotated[str | None, since(versions.HOSTNAME)] = None


class CreateBody(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    server: ServerCreate
    hints: dict[str, Any] = msgspec.field(name="os:scheduler_hints", default_factory=dict)
    more_hints: dict[str, Any] = msgspec.field(name="OS-SCH-HNT:scheduler_hints", default_factory=dict)


class ServerMade(msgspec.Struct, kw_only=True):
    id: str
    links: list[Link]
    disk_config: str = msgspec.field(name="OS-DCF:diskConfig")
    security_groups: list[dict[str, str]]
    admin_password: str = msgspec.field(name="adminPass")


class Made(msgspec.Struct, kw_only=True):
    server: ServerMade | UnsetType = UNSET
    reservation_id: str | UnsetType = UNSET


@routes.post("/v2.1/servers", status=202, policy=Rule("os_compute_api:servers:create", PROJECT_MEMBER))
async def create_server(ctx: Ctx, body: CreateBody) -> Made:
    """Record the servers and their boot sagas in one transaction; the sagas do the rest."""
    asked = body.server
    first, count_min, count_max, asked_volumes = await _first_server(ctx, body)
    zone_host = await _zone_and_host(ctx, asked)
    async with ctx.db.read() as reader:
        group_id = await group_of_hint(reader, ctx, first.hints or {})
    first = msgspec.structs.replace(first, zone=zone_host[0], group_id=group_id)
    if count_max > 1 and asked_volumes:
        raise BadRequest(reason="Volumes are attached to one server at a time: ask for them one by one.")
    wishes = await nics.wishes_of(ctx, asked.networks, asked.security_groups)
    if ctx.version < versions.PROMISED_PORTS and await port_needs.of_ports(
            ctx.app, [wish.port_id for wish in wishes if wish.given]):
        raise PromisedPorts()
    disks = await block_devices.made(ctx, block_devices.named(asked_volumes, local_disks_of(first)))
    ctx.span("validate")
    password = asked.admin_password or new_password()
    kept = await kept_limits(ctx, first.project_id)
    async with ctx.db.write() as tx:
        count = await _within_quota(tx, ctx, first, kept, count_min, count_max)
        if first.key_name is not None:
            first = msgspec.structs.replace(first, key=await key_of(tx, ctx, first.key_name))
        made = _copies(first, count)
        await db.add(tx, server_table, *made)
        for server in made:
            await servers.set_tags(tx, server.id, asked.tags)
            await servers.record_action(tx, action_of(ctx, server.id, server.project_id, "create"))
        ctx.span("record")
        for server in made:
            own = [wish if wish.given else msgspec.structs.replace(wish, port_id=new_uuid()) for wish in wishes]
            await ctx.sagas.start(tx, BootServer(
                server_id=server.id, wishes=own, volumes=disks, asked_host=zone_host[1],
                admin_password=password if server.config_drive else None), server.id, spans=ctx.spans)
    if _truth(asked.return_reservation_id):
        return Made(reservation_id=first.reservation_id)
    ctx.headers["location"] = links_to(ctx, f"servers/{made[0].id}")[0].href
    groups = [{"name": name} for name in dict.fromkeys(first.security_groups)]
    return Made(server=ServerMade(id=made[0].id, links=links_to(ctx, f"servers/{made[0].id}"), admin_password=password,
                                  disk_config=first.disk_config, security_groups=groups))


def _truth(value: bool | str | None) -> bool:
    return value is True or isinstance(value, str) and value.lower() in ("1", "true", "t", "yes", "y", "on")


def new_password() -> str:
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(12))


async def _first_server(ctx: Ctx, body: CreateBody) -> tuple[Server, int, int, list[VolumeWish]]:
    """The server as asked for, with what its references stand for; how many of it, and with which volumes."""
    asked = body.server
    _must_have_networks(ctx, asked)
    _must_not_be_tagged(ctx, asked)
    must_be_sound(body.hints or body.more_hints)
    low, high = _counts(asked)
    name = asked.name.strip()
    if not name:
        raise BadRequest(reason="Invalid input for field/attribute name. It may not be only white space.")
    if asked.hostname is not None and high > 1:
        raise BadRequest(reason="A hostname cannot be given to several servers at once.")
    flavor = await flavor_of(ctx, str(asked.flavor_id))
    image, wishes = await _image_and_volumes(ctx, asked, flavor)
    if image is None:
        must_make_a_machine(flavor, {})
    project_id = ctx.caller.project_id or ""
    await must_fit_metadata(ctx, asked.metadata, project_id)
    now = ctx.clock()
    return Server(
        id=new_uuid(), project_id=project_id, user_id=ctx.caller.user_id, name=name,
        flavor_id=flavor.id, vcpus=flavor.vcpus,
        hostname=hostname_of(name) if asked.hostname is None else hostname(ctx, asked.hostname),
        memory_mb=flavor.memory_mb, flavor=flavor, image_id=image.id if image else None, image=image,
        key_name=asked.key_name, user_data=user_data_of(asked.user_data),
        config_drive=_truth(asked.config_drive) or image is not None and wants_config_drive(image.properties),
        metadata=dict(asked.metadata),
        security_groups=tuple(group.name for group in asked.security_groups) or ("default",),
        personality=await personality_of(ctx, asked.personality, project_id),
        access_ip_v4=address(asked.access_ip_v4, "accessIPv4", 4),
        access_ip_v6=address(asked.access_ip_v6, "accessIPv6", 6),
        disk_config=asked.disk_config, reservation_id=f"r-{secrets.token_hex(4)}",
        hints=body.hints or body.more_hints or None, description=_description(ctx, asked, name),
        certificates=_certificates(asked), disk_tags=_disk_tags(asked.block_devices),
        created_at=now, updated_at=now), low, high, wishes


def _description(ctx: Ctx, asked: ServerCreate, name: str) -> str | None:
    """Before there was a description its place held the name."""
    return asked.description if ctx.version >= versions.DESCRIPTION else name


def _must_have_networks(ctx: Ctx, asked: ServerCreate) -> None:
    if ctx.version >= versions.NETWORKS_REQUIRED and asked.networks is UNSET:
        raise BadRequest(reason="Invalid input for field/attribute server. 'networks' is a required property")
    if isinstance(asked.networks, str) and (
            ctx.version < versions.NETWORKS_REQUIRED or asked.networks not in ("auto", "none")):
        raise BadRequest(reason="Invalid input for field/attribute networks. It is a list, or auto or none since 2.37.")


def _certificates(asked: ServerCreate) -> tuple[str, ...] | None:
    if asked.certificates is None:
        return None
    if len(set(asked.certificates)) < len(asked.certificates):
        raise BadRequest(reason="Invalid input for field/attribute trusted_image_certificates. It has an id twice.")
    return tuple(asked.certificates)


def _must_not_be_tagged(ctx: Ctx, asked: ServerCreate) -> None:
    """Tags were lost for some versions: of disks with 2.33, of network cards with 2.37; of both until 2.42."""
    if ctx.version >= versions.DEVICE_TAGS_AGAIN:
        return
    networks = asked.networks if isinstance(asked.networks, list) else []
    if ctx.version >= versions.NETWORKS_REQUIRED and any(wish.tag is not None for wish in networks) or (
            ctx.version >= versions.HYPERVISOR_PAGES and any(each.tag is not None for each in asked.block_devices)):
        raise BadRequest(reason="Additional properties are not allowed ('tag' was unexpected)")


def _disk_tags(devices: list[BlockDevice]) -> dict[str, str] | None:
    """The tags of disks, by the names the disks have in the guest."""
    found: dict[str, str] = {}
    counts = {"swap": 0, "ephemeral": 0}
    for device in devices:
        name = "root"
        if device.source_type == "blank":
            kind = "swap" if device.guest_format == "swap" else "ephemeral"
            name = f"{kind}{counts[kind]}"
            counts[kind] += 1
        if device.tag is not None:
            found[name] = device.tag
    return found or None


def _counts(asked: ServerCreate) -> tuple[int, int]:
    found = []
    for value in (asked.min_count, asked.max_count if asked.max_count is not None else asked.min_count):
        number = whole(value)
        if number is None or number < 1:
            raise BadRequest(reason=f"Invalid input for field/attribute min_count or max_count. Value: {value}.")
        found.append(number)
    if found[0] > found[1]:
        raise BadRequest(reason="min_count must be <= max_count")
    if found[1] > MOST_AT_ONCE:
        raise BadRequest(reason=f"At most {MOST_AT_ONCE} servers can be asked for at once.")
    return found[0], found[1]


async def flavor_of(ctx: Ctx, flavor_id: str) -> FlavorCopy:
    async with ctx.db.read() as reader:
        try:
            if ctx.caller.is_admin:
                found = await flavors.get(reader, flavor_id)
            else:
                found = await flavors.get_for(reader, flavor_id, ctx.caller.project_id)
        except FlavorNotFound:
            raise BadFlavor(flavor_id=flavor_id) from None
    return FlavorCopy(id=found.id, name=found.name, vcpus=found.vcpus, memory_mb=found.memory_mb,
                      disk_gb=found.disk_gb, ephemeral_gb=found.ephemeral_gb, swap_mb=found.swap_mb,
                      extra_specs=found.extra_specs)


async def _image_and_volumes(ctx: Ctx, asked: ServerCreate,
                             flavor: FlavorCopy) -> tuple[ImageFacts | None, list[VolumeWish]]:
    """One that boots from a volume is no copy of an image: the request says so, or the image, which is then one of
    another server's volumes."""
    if asked.block_devices and asked.old_devices:
        raise BadRequest(reason="Using different block_device_mapping syntaxes is not allowed in the same request.")
    wishes = block_devices.wishes(asked.block_devices, asked.old_devices, has_image=bool(_image_id(asked)))
    if any(wish.boot_index == 0 for wish in wishes):
        return None, wishes
    image = await image_of(ctx, _image_id(asked), flavor)
    of_image = block_devices.of_image(image.properties)
    if of_image:
        others = [each for each in asked.block_devices if block_devices.is_volume(each)]
        return None, block_devices.wishes([*of_image, *others], asked.old_devices, has_image=True)
    if OF_ENCRYPTED_VOLUME in image.properties:
        raise BadRequest(reason=f"Image {image.id} is unacceptable: Direct booting of an image uploaded from an "
                                "encrypted volume is unsupported.")
    return image, wishes


def _image_id(asked: ServerCreate) -> str:
    """The image of the root disk, named by imageRef or by a block device."""
    return block_devices.image_id(asked.block_devices, asked.image_id.rstrip("/").rpartition("/")[2])


async def image_of(ctx: Ctx, image_id: str, flavor: FlavorCopy | None) -> ImageFacts:
    """Asked of its owner with the caller's own token, who may not see every image; large enough `flavor`, if any."""
    if not image_id:
        raise BadRequest(reason="Invalid imageRef provided.")
    if not is_uuid(image_id):
        raise BadRequest(reason="Invalid imageRef provided.")
    try:
        found = await ctx.app.image.as_caller(ctx.caller.token).get(image_id)
    except Refused as error:
        if error.status == 404:
            raise BadImage(image_id=image_id) from None
        raise
    if found.status != "active":
        raise ImageNotActive(image_id=image_id)
    properties = {key: str(value) for key, value in found.properties.items()}
    if flavor is not None:
        _must_be_large_enough(flavor, found)
        must_make_a_machine(flavor, properties)
    return ImageFacts(
        id=found.id, name=found.name or "", disk_format=found.disk_format or "raw", size_bytes=found.size or 0,
        sha512=found.sha512, min_disk_gb=found.min_disk, min_memory_mb=found.min_ram,
        properties=properties)


def must_make_a_machine(flavor: FlavorCopy, properties: Mapping[str, str]) -> None:
    """What flavor and image ask for together. Raises BadRequest."""
    try:
        hardware_of(properties, flavor.extra_specs, vcpus=flavor.vcpus, memory_mb=flavor.memory_mb)
    except BadHardware as error:
        raise BadRequest(reason=str(error)) from None


def _must_be_large_enough(flavor: FlavorCopy, image: Image) -> None:
    if flavor.memory_mb < image.min_ram:
        raise FlavorTooSmall(what="memory", has=flavor.memory_mb, needs=image.min_ram)
    needs_gb = max(image.min_disk, -(-(image.virtual_size or image.size or 0) // (1 << 30)) if flavor.disk_gb else 0)
    if flavor.disk_gb and flavor.disk_gb < needs_gb:
        raise FlavorTooSmall(what="disk", has=flavor.disk_gb, needs=needs_gb)


def user_data_of(text: str | None) -> str | None:
    if text is None:
        return None
    if len(text) > USER_DATA_BYTES:
        raise UserDataTooLarge(limit_bytes=USER_DATA_BYTES)
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest(reason="User data must be valid base64.") from None
    return text


def hostname_of(name: str) -> str:
    """A valid host name made of a server's name, as guests see it."""
    kept = re.sub(r"[^\w.-]+", "", name.replace(" ", "-").replace("_", "-"), flags=re.ASCII).strip(".-").lower()
    return kept[:63].rstrip(".-") or "server"


async def _chosen_host(ctx: Ctx, asked: ServerCreate) -> str:
    """The one host that has the name and the hypervisor asked for. Raises BadRequest."""
    async with ctx.db.read() as reader:
        for host in await hosts.every(reader):
            if asked.host in (None, host.name) and (
                    asked.hypervisor_hostname in (None, host.name, host.facts.hostname)):
                return host.name
    raise BadRequest(reason=f"Compute host {asked.host or asked.hypervisor_hostname} could not be found.")


async def _zone_and_host(ctx: Ctx, asked: ServerCreate) -> tuple[str | None, str | None]:
    """(zone, host) asked for; administrators may write zone:host."""
    zone, _, rest = (asked.zone or "").partition(":")
    host = rest.partition(":")[0] or rest.rpartition(":")[2] or None
    if host is not None and not ctx.allows(FORCE_HOST.name):
        raise PolicyRefused(rule=FORCE_HOST.name)
    chosen = asked.host or asked.hypervisor_hostname
    if chosen is not None:
        ctx.must_allow(CHOOSE_HOST.name)
        if host is not None:
            raise BadRequest(reason="host and hypervisor_hostname cannot be asked for together with a host in "
                                    "availability_zone.")
        host = await _chosen_host(ctx, asked)
    return zone or None, host


async def _within_quota(tx: db.Connection, ctx: Ctx, server: Server, kept: dict[str, int], low: int, high: int) -> int:
    """How many fit, at least `low`; counted here, in the transaction that adds them. Raises QuotaExceeded."""
    if server.zone is not None:
        known = set((await hosts.zones(tx, ctx.app.config.default_zone)).values())
        if server.zone not in known:
            raise BadRequest(reason="The requested availability zone is not available")
    fits = await room_for(tx, ctx, server, kept, taken_by(server), (low, high))
    if server.group_id is None:
        return fits
    limits = await quotas.limits(tx, ctx.app.config, server.project_id, kept=kept)
    return await room_in_group(tx, server.group_id, limits["server_group_members"], low, fits)


async def key_of(tx: db.Connection, ctx: Ctx, name: str) -> dict[str, str]:
    try:
        found = await keypairs.get(tx, ctx.caller.user_id, name)
    except KeypairNotFound:
        raise BadKeypair() from None
    return {"type": found.type, "public_key": found.public_key}


def _copies(first: Server, count: int) -> list[Server]:
    if count == 1:
        return [first]
    return [msgspec.structs.replace(first, id=new_uuid(), name=f"{first.name}-{n + 1}", launch_index=n,
                                    hostname=f"{first.hostname[:58]}-{n + 1}") for n in range(count)]
