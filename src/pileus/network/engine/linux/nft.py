"""libnftables in one network namespace: atomic transactions without starting a program."""

import ctypes
import json
from typing import Any

from pileus.network.engine.base import EngineFailed
from pileus.network.engine.linux import namespaces

JSON_OUTPUT = 1 << 4


def _library() -> ctypes.CDLL:
    library = ctypes.CDLL("libnftables.so.1")
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_new.argtypes = [ctypes.c_uint32]
    for function in (library.nft_ctx_buffer_output, library.nft_ctx_buffer_error, library.nft_ctx_free):
        function.argtypes = [ctypes.c_void_p]
    for function in (library.nft_ctx_get_output_buffer, library.nft_ctx_get_error_buffer):
        function.argtypes = [ctypes.c_void_p]
        function.restype = ctypes.c_char_p
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    library.nft_ctx_output_set_flags.argtypes = [ctypes.c_void_p, ctypes.c_uint]
    return library


class Nft:
    """Its netlink socket is opened in the namespace and stays there, so calls may be made from any one thread."""

    def __init__(self, namespace: str):
        self.library = _library()
        self.context = namespaces.inside(namespace, lambda: self.library.nft_ctx_new(0))
        self.library.nft_ctx_buffer_output(self.context)
        self.library.nft_ctx_buffer_error(self.context)
        self.library.nft_ctx_output_set_flags(self.context, JSON_OUTPUT)

    def close(self) -> None:
        if self.context:
            self.library.nft_ctx_free(self.context)
            self.context = None

    def run(self, commands: str) -> str:
        """All commands or none. Raises EngineFailed with the library's words."""
        failed = self.library.nft_run_cmd_from_buffer(self.context, commands.encode())
        output = self.library.nft_ctx_get_output_buffer(self.context)
        errors = self.library.nft_ctx_get_error_buffer(self.context)
        if failed:
            raise EngineFailed(f"nftables: {errors.decode(errors='replace').strip()[:2000]}")
        return output.decode()

    def chains(self, family: str, table: str) -> set[str]:
        listed: list[dict[str, Any]] = json.loads(self.run(f"list chains {family}") or '{"nftables": []}')["nftables"]
        chains = (entry["chain"] for entry in listed if "chain" in entry)
        return {chain["name"] for chain in chains if chain["table"] == table and chain["family"] == family}


def settle_table(namespace: str, family: str, table: str, text: str, generation: str, *, wanted: bool) -> bool:
    """Whether a table that only one transaction writes was replaced, or taken away: one of its chains has the
    generation's name, so that what is right already is left alone."""
    nft = Nft(namespace)
    try:
        present = nft.chains(family, table)
        if not wanted and not present or generation in present:
            return False
        nft.run(text if wanted else f"delete table {family} {table}\n")
        return True
    finally:
        nft.close()
