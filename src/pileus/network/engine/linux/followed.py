"""Protocols that a router reads along with, so that what their connections open is let through and translated."""

import hashlib

from pileus.network.engine.linux import names
from pileus.network.engine.linux.nft import settle_table
from pileus.network.engine.records import Followed, RouterSlice

TABLE = names.TABLE + "_followed"


def compile_followed(followed: tuple[Followed, ...]) -> tuple[str, str]:
    """The nftables transaction and its generation. Of its own, as a kernel without such a protocol refuses it."""
    kinds = sorted({(one.name, one.protocol) for one in followed})
    objects = "".join(f'  ct helper {name}_{protocol} {{\n    type "{name}" protocol {protocol}\n  }}\n'
                      for name, protocol in kinds)
    rules = "".join(f'    {one.protocol} dport {one.port} ct helper set "{one.name}_{one.protocol}"\n'
                    for one in followed)
    body = (f"table ip {TABLE} {{\n{objects}  chain before {{\n"
            f"    type filter hook prerouting priority -150; policy accept;\n{rules}  }}\n}}\n")
    generation = "generation_" + hashlib.sha256(body.encode()).hexdigest()[:16]
    return f"add table ip {TABLE}\ndelete table ip {TABLE}\n{body}add chain ip {TABLE} {generation}\n", generation


def settle_followed(namespace: str, router: RouterSlice) -> list[str]:
    text, generation = compile_followed(router.followed)
    replaced = settle_table(namespace, "ip", TABLE, text, generation, wanted=bool(router.followed))
    return [f"protocols that router {router.id} follows replaced"] if replaced else []
