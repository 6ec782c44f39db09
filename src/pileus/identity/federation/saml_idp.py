"""This cloud as an identity provider for others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from pileus.identity.contexts import Context
from pileus.identity.faults import Missing
from pileus.identity.federation.saml_keys import SamlKeys
from pileus.identity.federation.settings import FederationConfig
from pileus.identity.model.federation import ServiceProvider
from pileus.kit.clock import Clock

if TYPE_CHECKING:
    from pileus.identity.federation.saml_statements import Statements


class SamlIdp:
    def __init__(self, config: FederationConfig, keys: SamlKeys, clock: Clock):
        self.config, self.keys, self.clock = config, keys, clock

    @property
    def _root(self) -> str:
        if not self.config.identity_url:
            raise Missing(kind="SAML identity provider", id="identity_url is not set in the section [federation]")
        return f"{self.config.identity_url.rstrip('/')}/v3/OS-FEDERATION/saml2"

    def _statements(self) -> Statements:
        from pileus.identity.federation.saml_statements import Statements  # noqa: PLC0415 - few clouds need pysaml2
        return Statements(f"{self._root}/idp", self.keys, self.clock())

    async def metadata(self) -> str:
        return await asyncio.to_thread(lambda: self._statements().metadata(f"{self._root}/sso"))

    async def response(self, found: Context, groups: list[str], provider: ServiceProvider, *, enveloped: bool) -> str:
        """What `provider` may believe of whoever has the token; in an envelope for programs that carry it there."""
        ends_at = min(self.clock() + self.config.assertion_seconds, found.token.expires_at)

        def made() -> str:
            statements = self._statements()
            response = statements.response(found, groups, provider, ends_at)
            return statements.enveloped(response, provider) if enveloped else response

        return await asyncio.to_thread(made)


def group_attribute(name: str, domain_name: str) -> str:
    return f"JSON:{msgspec.json.encode({'name': name, 'domain': {'name': domain_name}}).decode()}"
