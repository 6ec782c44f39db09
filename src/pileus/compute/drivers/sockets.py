"""Connections to sockets in the file system, however long their path."""

import os
import socket
from pathlib import Path


def connected(path: Path) -> socket.socket:
    """Named through an open descriptor of its folder: a socket's address has room for a hundred characters only."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(f"/proc/self/fd/{folder}/{path.name}")
    except OSError:
        connection.close()
        raise
    finally:
        os.close(folder)
    connection.setblocking(False)
    return connection
