"""Joins the sandbox of a state folder and becomes the command given: inside.py DIR COMMAND…"""

import os
import signal
import sys
from pathlib import Path

if not __package__:
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pileus.sandbox.checks import SandboxError
from pileus.sandbox.sandbox import Sandbox


def main(state_dir: str, *command: str) -> int:
    try:
        Sandbox(state_dir).enter()
        # Python's own choice, which would make pipelines inside fail.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.execvp(command[0], command)
    except SandboxError as error:
        print(error, file=sys.stderr)
        return 125
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return 127


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
