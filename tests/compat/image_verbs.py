"""Every verb that the unmodified client has for images, what to keep of its answer, and what the answer must hold."""

from __future__ import annotations

SILENT = {"set", "unset", "delete", "stage", "save", "update", "clear", "queue"}
# {FILE} is a file of some bytes, {PROJECT} a project, {EMPTY} an image without content: where the client has no
# terminal, it uploads what it is fed.
COMMANDS: list[tuple[str, dict[str, str], str]] = [
    ("image create --disk-format raw --container-format bare --property a=b --tag red --shared --file {FILE} verb",
     {"image": "id"}, "active"),
    ("image set --property c=d --tag blue --name verbs --min-disk 2 --hidden {image}", {}, ""),
    ("image list --hidden --tag blue --long", {}, "verbs"),
    ("image unset --property c --tag blue {image}", {}, ""),
    ("image set --unhidden --deactivate {image}", {}, ""),
    ("image set --activate {image}", {}, ""),
    ("image show {image}", {}, "red"),
    ("image save --file {FILE}.saved {image}", {}, ""),
    ("image add project {image} {PROJECT}", {}, "pending"),
    ("image member list {image}", {}, "pending"),
    ("image member get {image} {PROJECT}", {}, "pending"),
    ("image set --project {PROJECT} --accept {image}", {}, ""),
    ("image import info", {}, "glance-direct"),
    ("image stores list --detail", {}, "data_dir"),
    ("image stage --file {FILE} {EMPTY}", {}, ""),
    ("image import --method glance-direct {EMPTY}", {}, "empty"),
    ("image task list", {}, "api_image_import"),
    ("cached image queue {image}", {}, ""),
    ("cached image list", {}, '"State"'),
    ("cached image delete {image}", {}, ""),
    ("cached image clear", {}, ""),
    ("image metadef namespace create --display-name n --description d spaces", {}, "spaces"),
    ("image metadef namespace set --description e spaces", {}, ""),
    ("image metadef namespace show spaces", {}, '"e"'),
    ("image metadef namespace list", {}, "spaces"),
    ("image metadef resource type list", {}, "OS::Glance::Image"),
    ("image metadef resource type association create spaces OS::Glance::Image", {}, "OS::Glance::Image"),
    ("image metadef resource type association list spaces", {}, "OS::Glance::Image"),
    ("image metadef property create --name size --title Size --type integer --schema {{}} spaces", {}, "Size"),
    ("image metadef property set --title Length spaces size", {}, ""),
    ("image metadef property show spaces size", {}, "Length"),
    ("image metadef property list spaces", {}, "size"),
    ("image metadef object create --namespace spaces thing", {}, "thing"),
    ("image metadef object show spaces thing", {}, "thing"),
    ("image metadef object list spaces", {}, "thing"),
    ("image metadef object update --name matter spaces thing", {}, ""),
    ("image metadef object delete spaces matter", {}, ""),
    ("image metadef property delete spaces size", {}, ""),
    ("image metadef resource type association delete spaces OS::Glance::Image", {}, ""),
    ("image metadef namespace unset --all-tags spaces", {}, ""),
    ("image metadef namespace delete spaces", {}, ""),
    ("image remove project {image} {PROJECT}", {}, ""),
    ("image delete {image} {EMPTY}", {}, ""),
]


def silent(words: list[str]) -> bool:
    return bool(SILENT & set(words[:6])) or words[1] == "remove"
