"""[volume]"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from pileus.kit.config import doc
from pileus.volume import expressions

Expression = Annotated[str, msgspec.Meta(max_length=expressions.LONGEST)]
Limit = Annotated[int, msgspec.Meta(ge=-1)]


class VolumeConfig(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    driver: Annotated[Literal["file", "fake"], doc("What keeps the volumes' bytes.")] = "file"
    directory: Annotated[str, doc("Folder of the file driver's volumes and of backups.")] = "volumes"
    back_ends: Annotated[int, msgspec.Meta(ge=0, le=16), doc(
        "How many back ends of that driver a node offers, each with a folder of its own.")] = 1
    nfs_shares: Annotated[list[str], doc(
        "NFS shares, SERVER:/FOLDER, each of which is one more back end, whatever the driver of the others. They are\n"
        "mounted by the cloud where it may, or beforehand by the operator, at nfs-1, nfs-2 … in the directory.")] = []
    nfs_options: Annotated[str, doc("How NFS shares are mounted.")] = "vers=4.2,noresvport"
    lvm_groups: Annotated[list[str], doc(
        "LVM volume groups, each of which is one more back end, of thin volumes in a pool called pileus. That is made\n"
        "of what is free in the group, if it is not there. It takes root.")] = []
    between_hosts: Annotated[Literal["socket", "tls"], doc(
        "How servers get at volumes of another host: by the unix sockets, which hosts that are one machine share, or\n"
        "by NBD over TCP with TLS, for which the cloud gives each host a certificate.")] = "socket"
    move_attached: Annotated[bool, doc(
        "Whether volumes that servers use may go to other back ends. Guests have to come back to a socket that\n"
        "another daemon serves: QEMU's do, libvirt's do not, and with that driver it is false.")] = True
    filter_functions: Annotated[dict[str, Expression], doc(
        "By the name of a back end, an expression that must be true of a volume that is to be there, such as\n"
        'filter_functions.file-1 = "volume.size < 100 and extra.slow != 1".')] = {}
    goodness_functions: Annotated[dict[str, Expression], doc(
        "The same of how well a volume would be there, from 0 to 100; the best gets it, of equals the one with most\n"
        "room.")] = {}
    default_type: Annotated[str, doc("Name of the volume type of volumes that ask for none.")] = "__DEFAULT__"
    zone: Annotated[str, doc("Availability zone of the back ends.")] = "nova"
    over_subscription: Annotated[float, msgspec.Meta(ge=1), doc(
        "Sizes promised per byte there is; volumes take up only what was written to them.")] = 20.0
    volumes: Annotated[Limit, doc("Volumes a project may have; -1 is no limit.")] = 10
    snapshots: Annotated[Limit, doc("Snapshots a project may have; -1 is no limit.")] = 10
    gigabytes: Annotated[Limit, doc("GiB of volumes and snapshots a project may have; -1 is no limit.")] = 1000
    backups: Annotated[Limit, doc("Backups a project may have; -1 is no limit.")] = 10
    backup_gigabytes: Annotated[Limit, doc("GiB of volumes a project may have backed up; -1 is no limit.")] = 1000
    work_timeout: Annotated[int, msgspec.Meta(ge=1), doc(
        "Seconds a node may take to copy the content of one volume.")] = 3600

    def __post_init__(self) -> None:
        for text in (*self.filter_functions.values(), *self.goodness_functions.values()):
            expressions.parse(text)
