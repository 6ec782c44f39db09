"""What every log line and message of one piece of work carries: the request it comes from."""

from __future__ import annotations

from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="")
