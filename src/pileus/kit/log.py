"""Structured logs: one JSON object a line in a file, short lines for people on the terminal."""

from __future__ import annotations

import logging
import logging.handlers
import time
from pathlib import Path
from typing import Any

import msgspec

from pileus.kit import context

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(), "logger": record.name, "message": record.getMessage()}
        if asked_by := context.request_id.get():
            line["request_id"] = asked_by
        line |= _extras(record)
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return msgspec.json.encode(line, enc_hook=str).decode()


class PlainFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        facts = " ".join(f"{key}={value}" for key, value in _extras(record).items())
        when = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = f"{when} {record.levelname[0]} {record.getMessage()}"
        text = f"{line}  {facts}" if facts else line
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def set_up(folder: Path | None, *, terminal: int = logging.WARNING, file_level: int = logging.INFO) -> None:
    """Log to `folder`/pileus.log (rotated at 32 MiB, five kept) and, from `terminal` up, to standard error."""
    root = logging.getLogger()
    root.setLevel(min(terminal, file_level))
    for handler in list(root.handlers):
        root.removeHandler(handler)
    stream = logging.StreamHandler()
    stream.setLevel(terminal)
    stream.setFormatter(PlainFormatter())
    root.addHandler(stream)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        file = logging.handlers.RotatingFileHandler(folder / "pileus.log", maxBytes=32 << 20, backupCount=5)
        file.setLevel(file_level)
        file.setFormatter(JsonFormatter())
        root.addHandler(file)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("qemu").setLevel(logging.ERROR)


OWN = "pileus"                # other loggers' levels are not for clients: those of databases tell what is in rows


def levels(prefix: str) -> dict[str, str]:
    """Our loggers whose names begin so, and from which level on each tells."""
    names = sorted(name for name in logging.root.manager.loggerDict
                   if name.partition(".")[0] == OWN and name.startswith(prefix))
    return {name: logging.getLevelName(logging.getLogger(name).getEffectiveLevel()) for name in names}


def set_level(prefix: str, level: str) -> None:
    """Have our loggers whose names begin so tell from `level` on; the file takes what they tell."""
    for name in levels(prefix):
        logging.getLogger(name).setLevel(level)
    for handler in logging.root.handlers:
        if isinstance(handler, logging.FileHandler) and handler.level > getattr(logging, level):
            handler.setLevel(level)
