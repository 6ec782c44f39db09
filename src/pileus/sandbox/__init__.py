"""The cloud's own network on this machine, made without root and without touching the machine's."""

from pileus.sandbox.checks import Missing, SandboxError
from pileus.sandbox.sandbox import Sandbox

__all__ = ["Missing", "Sandbox", "SandboxError"]
