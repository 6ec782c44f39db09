"""The list of API extensions, which old clients ask for: all that there is here has been part of the API since 2.1."""

from __future__ import annotations

from typing import Any

import msgspec

from pileus.kit.faults import NotFound
from pileus.kit.policy import PROJECT_READER, Rule
from pileus.kit.routes import Page, Routes
from pileus.kit.web import Ctx

routes = Routes()
RULE = Rule("os_compute_api:extensions", PROJECT_READER)
# Alias -> name, of what this service has routes or fields for.
KNOWN = {
    "extensions": "Extensions", "flavors": "Flavors", "image-metadata": "ImageMetadata", "image-size": "ImageSize",
    "images": "Images", "ips": "Ips", "limits": "Limits", "os-access-ips": "AccessIPs",
    "os-admin-actions": "AdminActions", "os-admin-password": "AdminPassword", "os-aggregates": "Aggregates",
    "os-attach-interfaces": "AttachInterfaces", "os-availability-zone": "AvailabilityZone",
    "os-block-device-mapping": "BlockDeviceMapping", "os-config-drive": "ConfigDrive",
    "os-console-auth-tokens": "ConsoleAuthTokens", "os-console-output": "ConsoleOutput", "os-consoles": "Consoles",
    "os-create-backup": "CreateBackup", "os-deferred-delete": "DeferredDelete", "os-disk-config": "DiskConfig",
    "os-extended-availability-zone": "ExtendedAvailabilityZone",
    "os-extended-server-attributes": "ExtendedServerAttributes", "os-extended-status": "ExtendedStatus",
    "os-extended-volumes": "ExtendedVolumes", "os-flavor-access": "FlavorAccess",
    "os-flavor-extra-specs": "FlavorExtraSpecs", "os-flavor-manage": "FlavorManage", "os-hide-server-addresses":
    "HideServerAddresses", "os-hosts": "Hosts", "os-hypervisors": "Hypervisors", "os-instance-actions":
    "InstanceActions", "os-instance-usage-audit-log": "InstanceUsageAuditLog", "os-keypairs": "Keypairs",
    "os-lock-server": "LockServer", "os-migrate-server": "MigrateServer", "os-migrations": "Migrations",
    "os-multiple-create": "MultipleCreate", "os-networks": "Networks", "os-pause-server": "PauseServer",
    "os-personality": "Personality", "os-quota-class-sets": "QuotaClasses", "os-quota-sets": "Quotas",
    "os-remote-consoles": "Consoles", "os-rescue": "Rescue", "os-scheduler-hints": "SchedulerHints",
    "os-security-groups": "SecurityGroups", "os-server-diagnostics": "ServerDiagnostics",
    "os-server-external-events": "ServerExternalEvents", "os-server-groups": "ServerGroups",
    "os-server-password": "ServerPassword", "os-server-usage": "ServerUsage", "os-services": "Services",
    "os-shelve": "Shelve", "os-simple-tenant-usage": "SimpleTenantUsage", "os-suspend-server": "SuspendServer",
    "os-tenant-networks": "TenantNetworks", "os-user-data": "UserData", "os-volumes": "Volumes",
    "server-metadata": "ServerMetadata", "servers": "Servers", "versions": "Versions"}


class ExtensionNotFound(NotFound):
    message = "There is no extension {alias}."


class ExtensionView(msgspec.Struct, kw_only=True):
    alias: str
    name: str
    description: str
    updated: str = "2014-12-03T00:00:00Z"
    namespace: str = "http://docs.openstack.org/compute/ext/fake_xml"
    links: list[dict[str, Any]] = []


def _view(alias: str) -> ExtensionView:
    return ExtensionView(alias=alias, name=KNOWN[alias], description=f"{KNOWN[alias]}, part of the API.")


@routes.get("/v2.1/extensions", envelope="extensions", policy=RULE)
async def list_extensions(ctx: Ctx) -> Page[ExtensionView]:
    return Page([_view(alias) for alias in sorted(KNOWN)])


@routes.get("/v2.1/extensions/{alias}", envelope="extension", policy=RULE)
async def show_extension(ctx: Ctx, alias: str) -> ExtensionView:
    if alias not in KNOWN:
        raise ExtensionNotFound(alias=alias)
    return _view(alias)
