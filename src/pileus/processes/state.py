"""The state folder: everything one cloud keeps, in one place; removing it removes the cloud."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import msgspec

PORT = 5000
REGION = "RegionOne"


def default_folder() -> Path:
    """$PILEUS_STATE, else below $XDG_STATE_HOME, else ~/.local/state/pileus."""
    if chosen := os.environ.get("PILEUS_STATE"):
        return Path(chosen)
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "pileus"


class Choices(msgspec.Struct, kw_only=True, frozen=True):
    """What `pileus up` was told, kept so that the next one need not be told again."""

    port: int = PORT
    hosts: int = 1
    driver: str = "qemu"


class Passwords(msgspec.Struct, kw_only=True, frozen=True):
    admin: str
    demo: str


class StateFolder:
    def __init__(self, folder: Path):
        self.folder = folder.absolute()
        self.run, self.log = self.folder / "run", self.folder / "log"
        self.images, self.instances, self.cache = (self.folder / name for name in ("images", "instances", "cache"))
        self.volumes = self.folder / "volumes"
        self.balancers = self.folder / "balancers"
        self.host_certificates = self.folder / "host-certificates"     # with the key of their authority
        self.guest_image = self.folder / "guest-image"
        self.guest_image_failed = self.run / "guest-image-failed"
        self.guest_image_process = self.run / "guest-image.process"      # which builds it
        self.pid_file, self.process_file = self.run / "pileus.pid", self.run / "pileus.process"
        self.stop_guests = self.run / "stop-guests"      # there: guests are to shut down with the cloud

    def prepare(self) -> None:
        """Make the folders. Only their owner may look into them: there are keys and passwords inside."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for each in (self.run, self.log, self.folder / "db"):
            each.mkdir(mode=0o700, exist_ok=True)

    @property
    def exists(self) -> bool:
        """Whether a cloud was ever started here."""
        return (self.folder / "choices.json").exists()

    def database(self, service: str) -> str:
        return f"sqlite:///{self.folder}/db/{service}.sqlite"

    # -- small files ------------------------------------------------------------------------

    def write(self, name: str, text: str) -> Path:
        """Whole or not at all, for its owner alone."""
        path, half = self.folder / name, self.folder / f".{name}.{os.getpid()}"
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
        half.replace(path)
        return path

    def choices(self) -> Choices:
        path = self.folder / "choices.json"
        return msgspec.json.decode(path.read_bytes(), type=Choices) if path.exists() else Choices()

    def keep(self, choices: Choices) -> None:
        self.write("choices.json", msgspec.json.encode(choices).decode())

    def passwords(self) -> Passwords:
        """Those of the first start, or of PILEUS_ADMIN_PASSWORD and PILEUS_DEMO_PASSWORD then, or random ones."""
        path = self.folder / "passwords.json"
        if not path.exists():
            made = Passwords(admin=os.environ.get("PILEUS_ADMIN_PASSWORD") or secrets.token_urlsafe(15),
                             demo=os.environ.get("PILEUS_DEMO_PASSWORD") or secrets.token_urlsafe(15))
            self.write("passwords.json", msgspec.json.encode(made).decode())
        return msgspec.json.decode(path.read_bytes(), type=Passwords)

    def secret(self, name: str) -> bytes:
        """A random key, made at first use."""
        path = self.folder / name
        if not path.exists():
            self.write(name, secrets.token_hex(32))
        return path.read_text().encode()

    def write_credentials(self, base_url: str, passwords: Passwords) -> None:
        """clouds.yaml with the clouds `pileus` (user demo) and `pileus-admin`, and openrc for user demo."""
        def cloud(name: str, user: str, password: str) -> str:
            return (f"  {name}:\n    auth:\n      auth_url: {base_url}/identity/v3\n      username: {user}\n"
                    f"      password: {password}\n      project_name: {user}\n      user_domain_name: Default\n"
                    f"      project_domain_name: Default\n    region_name: {REGION}\n    identity_api_version: 3\n")
        self.write("clouds.yaml", "clouds:\n" + cloud("pileus", "demo", passwords.demo)
                   + cloud("pileus-admin", "admin", passwords.admin))
        values = {"AUTH_URL": f"{base_url}/identity/v3", "USERNAME": "demo", "PASSWORD": passwords.demo,
                  "PROJECT_NAME": "demo", "USER_DOMAIN_NAME": "Default", "PROJECT_DOMAIN_NAME": "Default",
                  "REGION_NAME": REGION, "IDENTITY_API_VERSION": "3"}
        exports = "".join(f"export OS_{key}='{value}'\n" for key, value in values.items())
        self.write("openrc", f"unset OS_CLOUD\n{exports}")
