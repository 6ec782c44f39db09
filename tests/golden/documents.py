"""What is generated from the code, to be reviewed as a diff: APIs, tables, sagas, messages, options, commands."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
from collections.abc import Callable
from functools import partial
from types import ModuleType

import sqlalchemy as sa

from pileus.__main__ import COMMANDS, main
from pileus.compute import messages as compute_messages
from pileus.kit import migrate
from pileus.kit import migrations as kit_migrations
from pileus.kit.bus import Message
from pileus.kit.openapi import openapi
from pileus.kit.saga import Step
from pileus.kit.service import Service
from pileus.kit.versions import Version
from pileus.load_balancer import messages as load_balancer_messages
from pileus.network import messages as network_messages
from pileus.volume import messages as volume_messages
from tests.golden.guests import libvirt_text, qemu_text
from tests.golden.personas import matrix
from tests.golden.services import SERVICES, fields_of, spell, structs_in

USUAL = {"tries": 5, "timeout": 60.0}       # of a step that says nothing else
MESSAGES: dict[str, tuple[type[Message], ...]] = {
    name: tuple(kind for kind in vars(module).values()
                if isinstance(kind, type) and issubclass(kind, Message) and kind is not Message)
    for name, module in (("compute", compute_messages), ("network", network_messages),
                         ("volume", volume_messages), ("load_balancer", load_balancer_messages))}


def documents() -> dict[str, Callable[[], str]]:
    """File name below tests/golden/ -> what makes its text."""
    found: dict[str, Callable[[], str]] = {
        "sagas.txt": sagas_text, "messages.txt": messages_text, "policy-matrix.txt": matrix,
        "config.txt": partial(output, "config"), "cli.txt": cli_text, "guests-qemu.txt": qemu_text,
        "guests-libvirt.txt": libvirt_text,
        "kit.sql": partial(tables, kit_migrations)}
    for service in SERVICES:
        found[f"{service.name}.sql"] = partial(tables, service.migrations, without=kit_migrations)
        for version in (service.ledger.oldest, service.ledger.newest):
            found[f"openapi/{service.name}-{version}.json"] = partial(api, service, version)
    return found


def api(service: Service, version: Version) -> str:
    return json.dumps(openapi(service, version), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def tables(package: ModuleType, without: ModuleType | None = None) -> str:
    """Tables and indexes as SQLite tells them after all migrations."""
    engine = sa.create_engine("sqlite://")
    query = sa.text("select name, sql from sqlite_master where sql is not null order by tbl_name, type desc, name")
    with engine.begin() as conn:
        known = set()
        if without is not None:
            migrate.upgrade(conn, without)
            known = {row.name for row in conn.execute(query)}
        migrate.upgrade(conn, package)
        rows = [row for row in conn.execute(query) if row.name not in known]
    engine.dispose()
    return "\n\n".join(_tidy(row.sql) for row in rows) + "\n"


def _tidy(sql: str) -> str:
    return "\n".join(line.replace("\t", "    ").rstrip() for line in sql.splitlines() if line.strip()) + ";"


def sagas_text() -> str:
    lines = ["Durable names: of sagas, of their steps in order, of their fields. Rows of the last release hold them.",
             ""]
    for service in SERVICES:
        for kind in service.sagas:
            lines.append(kind.name)
            lines += fields_of(kind, "    ")
            lines += [f"    {number:2} {each.name}{_flags(each)}" for number, each in enumerate(kind.steps, 1)]
            lines.append("")
    return "\n".join(lines)


def _flags(each: Step) -> str:
    flags = [name for name in ("local", "pivot") if getattr(each, name)]
    flags += [f"{name} {getattr(each, name):g}" for name, usual in USUAL.items()
              if getattr(each, name) != usual]
    flags += [f"undo {each.undo_with.__name__}"] if each.undo_with else []
    return f" ({', '.join(flags)})" if flags else ""


def messages_text() -> str:
    lines = ["What conductors and hosts say to each other. Fields may be added with a default; nothing else may change",
             "within one release. Below the messages of a service stand the structs they carry.", ""]
    for service, kinds in MESSAGES.items():
        carried: dict[type, None] = {}
        for kind in kinds:
            answer = f" -> {spell(kind.reply)}" if kind.reply is not None else ""
            lines += [f"{kind.topic} {kind.__name__}{answer}", *fields_of(kind, "    "), ""]
            carried |= dict.fromkeys([*structs_in(kind)[1:], *structs_in(kind.reply)])
        for kind in sorted(carried, key=lambda each: each.__name__):
            lines += [f"{service} struct {kind.__name__}", *fields_of(kind, "    "), ""]
    return "\n".join(lines)


def output(*words: str) -> str:
    """What a command prints; `--help` leaves by SystemExit."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        main(list(words))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def cli_text() -> str:
    """An argument a line, for versions of Python break and align lines each in its own way."""
    shown, os.environ["COLUMNS"] = os.environ.get("COLUMNS", "80"), "10000"
    try:
        told = "\n".join(f"$ pileus {' '.join(words)}\n{output(*words)}"
                         for words in (["--help"], *([name, "--help"] for name in COMMANDS)))
    finally:
        os.environ["COLUMNS"] = shown
    return re.sub(r"(?<=\S)(\n {5,}| {2,})", "  ", told)
