"""[image]"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from pileus.kit.config import doc


class ImageConfig(msgspec.Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    directory: Annotated[str, doc("Folder of the file store.")] = "images"
    more_stores: Annotated[dict[str, str], doc("Further file stores: the name of each, and its folder.")] = {}
    web_store: Annotated[bool, doc(
        "Whether images may stay on web servers, those that web-download may fetch from: in the read-only store web.\n"
        "What they hold can change there.")] = False
    show_locations: Annotated[bool, doc(
        "Whether images show where their contents are, and owners may say so by changing them. What is there is then\n"
        "neither hashed nor inspected, so other ways are safer.")] = False
    hash_locations: Annotated[bool, doc(
        "Whether what is added as an image's location is read whole, to hash and inspect it.")] = True
    store_weights: Annotated[dict[str, int], doc(
        "Stores with a higher weight are read from first. Those not named weigh nothing.")] = {}
    region: Annotated[str, doc(
        "The region of this service. glance-download fetches from it, and from others in the catalog.")] = "RegionOne"
    import_hosts: Annotated[list[str], doc("web-download fetches from these hosts only; none named: from any.")] = []
    import_refused_hosts: Annotated[list[str], doc("web-download fetches from none of these hosts.")] = []
    import_ports: Annotated[list[int], doc("Ports web-download may connect to.")] = msgspec.field(
        default_factory=lambda: [80, 443])
    import_networks: Annotated[list[str], doc(
        "Networks web-download may connect to although they are not public, such as 192.0.2.0/24.")] = []
    import_plugins: Annotated[list[Literal["inject_image_metadata", "image_decompression", "image_conversion"]], doc(
        "What is done to images while they are imported: they are given import_properties; those in a container\n"
        "called compressed (gzip, zip, xz) are decompressed; disks are converted to import_format.")] = []
    import_format: Annotated[Literal["raw", "qcow2", "vmdk", "vdi", "vhdx"], doc(
        "Format that image_conversion brings disks to.")] = "raw"
    import_properties: Annotated[dict[str, str], doc("Properties that inject_image_metadata gives images.")] = {}
    import_properties_not_by: Annotated[list[str], doc(
        "Images that somebody with one of these roles imports are given none.")] = msgspec.field(
        default_factory=lambda: ["admin"])
    cache_directory: Annotated[str, doc("Folder of the cache; empty: cache, in that of the file store.")] = ""
    cache_max_bytes: Annotated[int, msgspec.Meta(ge=0), doc(
        "What the cache may hold; images used longest ago go first.")] = 10 << 30
    limits: Annotated[dict[str, int], doc(
        "What a project may have of image_size_total and image_stage_total (MiB), image_count_total and\n"
        "image_count_uploading. Those not named, and -1, are unlimited. Limits that identity keeps beat these.")] = {}
    certificates: Annotated[str, doc(
        "Folder with the certificates of those who sign images, each <img_signature_certificate_uuid>.pem; empty:\n"
        "there are none, and signed images are refused.")] = ""
    require_format_match: Annotated[bool, doc(
        "Whether images are refused whose content is not what disk_format says. Compute looks before it starts a\n"
        "guest from one in any case, and what would reach outside itself is always refused.")] = True
    max_image_bytes: Annotated[int, msgspec.Meta(ge=1), doc("The largest image anybody may upload.")] = 1 << 40
