"""Encrypted volumes: LUKS devices of version 1 or 2, read and written by QEMU.

QEMU reads version 1 alone. A device of version 2 is made by cryptsetup, and has between its own headers and its data a
header of version 1 with the same volume key: QEMU is shown the device from there on. For others it is a whole LUKS 2
device. What plain dm-crypt would write (provider `plain`) is what lies behind a header of version 1.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

from pileus.volume.drivers import qcow2
from pileus.volume.drivers.base import Key
from pileus.volume.drivers.qcow2 import QemuImageFailed

MAGIC = b"LUKS\xba\xbe"                  # and two bytes of the version
BEGINNING = len(MAGIC) + 2
MIB, SECTOR = 1 << 20, 512
MOST_HEADER = {1: 4 * MIB, 2: 16 * MIB}                     # bytes that a header takes of a device
WINDOW = 8 * MIB                                            # where devices of version 2 have their second header
KEYSLOTS = "4M"                                             # which ends before it
UNMEASURED = "Unable to get accurate CPU usage"      # which a busy machine tells coarsely: none in a short while
MOST_TRIES = 8
# The secret is random, so that making guesses at it slow, which is slow for us too, is of no use.
QUICKLY = ("--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000")
BITS = {"aes-128": 256, "aes-256": 512}                     # in the mode XTS half of the key is for the position


@contextlib.contextmanager
def _pipe(content: bytes) -> Iterator[int]:
    """A file that another program can inherit, and nobody else sees."""
    readable, writable = os.pipe()
    try:
        with os.fdopen(writable, "wb") as pipe:
            pipe.write(content)
        yield readable
    finally:
        os.close(readable)


@contextlib.contextmanager
def secret_object(key: Key | None) -> Iterator[tuple[list[str], tuple[int, ...]]]:
    """Arguments that give a program of QEMU's the key under the name `key`, and what it has to inherit: the key is read
    from a pipe, so that no list of processes and no file shows it."""
    if key is None:
        yield [], ()
        return
    with _pipe(key.secret.encode()) as readable:
        yield ["--object", f"secret,id=key,file=/dev/fd/{readable}"], (readable,)


def header_at(beginning: bytes) -> int:
    """Where in an encrypted volume that begins like this QEMU finds the header it reads."""
    return WINDOW if _version(beginning) == 2 else 0


def room_in(beginning: bytes, size: int) -> int:
    """Bytes that are left of `size`."""
    return size - MOST_HEADER[_version(beginning)]


def _version(beginning: bytes) -> int:
    return 2 if beginning == MAGIC + b"\0\2" else 1


@contextlib.asynccontextmanager
async def created(scratch: Path, size: int, key: Key) -> AsyncIterator[None]:
    """An empty LUKS device of `size` bytes, headers and all, is in the file `scratch` meanwhile. Raises
    QemuImageFailed."""
    try:
        await (_create_2 if key.luks == 2 else _create_1)(scratch, size, key)
        yield
    finally:
        await asyncio.to_thread(scratch.unlink, missing_ok=True)


async def _create_1(device: Path, size: int, key: Key) -> None:
    how = f"key-secret=key,cipher-alg={key.algorithm},cipher-mode=xts,ivgen-alg=plain64,iter-time=10"
    for tries_left in reversed(range(MOST_TRIES)):
        try:
            with secret_object(key) as (arguments, inherit):
                await qcow2.run("qemu-img", "create", "-q", "-f", "luks", *arguments, "-o", how, str(device),
                                str(size - MOST_HEADER[1]), inherit=inherit)
            return
        except QemuImageFailed as error:
            if UNMEASURED not in str(error) or not tries_left:
                raise


async def _create_2(device: Path, size: int, key: Key) -> None:
    volume_key, data = secrets.token_bytes(BITS[key.algorithm] // 8), MOST_HEADER[2]
    window = device.with_suffix(".window")
    try:
        await _format(device, size, key, volume_key, "--type", "luks2", "--sector-size", str(SECTOR),
                      "--luks2-keyslots-size", KEYSLOTS, "--offset", str(data // SECTOR))
        await _format(window, data, key, volume_key, "--type", "luks1", "--offset", str((data - WINDOW) // SECTOR))
        await asyncio.to_thread(_put_at, device, WINDOW, window, data - WINDOW)
    finally:
        window.unlink(missing_ok=True)


async def _format(device: Path, size: int, key: Key, volume_key: bytes, *how: str) -> None:
    await asyncio.to_thread(_make_empty, device, size)
    with _pipe(key.secret.encode()) as secret, _pipe(volume_key) as volume:
        try:
            await qcow2.run(
                "cryptsetup", "luksFormat", "--batch-mode", "--cipher", "aes-xts-plain64", "--hash", "sha256",
                "--key-size", str(BITS[key.algorithm]), *QUICKLY, "--key-file", f"/dev/fd/{secret}",
                "--volume-key-file", f"/dev/fd/{volume}", *how, str(device), inherit=(secret, volume))
        except FileNotFoundError as error:
            raise QemuImageFailed("cryptsetup is not installed on this node (Debian: cryptsetup-bin)") from error


def _make_empty(device: Path, size: int) -> None:
    with open(os.open(device, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.truncate(size)


def _put_at(device: Path, place: int, source: Path, length: int) -> None:
    with device.open("r+b") as file, source.open("rb") as from_file:
        file.seek(place)
        file.write(from_file.read(length))


async def fill(source: str, disk_format: str, device: Mapping[str, str], header: int, key: Key) -> None:
    """The content of `source` into an encrypted `device`, which QEMU is told of in these words, and whose header is at
    `header`. Raises QemuImageFailed, also where it does not fit."""
    inside = ",".join([f"driver=luks,key-secret=key,file.driver=raw,file.offset={header}",
                       *(f"file.file.{name}={value}" for name, value in device.items())])
    with secret_object(key) as (arguments, inherit):
        await qcow2.run("qemu-img", "convert", "-q", "-n", "-f", disk_format, *arguments, "--target-image-opts", source,
                        inside, inherit=inherit)
