"""SAML 2.0 identity providers: where to send people, and whom a response stands for.

What pysaml2 does (`saml_messages.py`) is bound to its thread: it runs xmlsec1 for each signature.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pileus.identity.federation import saml_documents
from pileus.identity.federation.saml_documents import NotPlain
from pileus.identity.federation.saml_keys import SamlKeys
from pileus.identity.federation.settings import FederationConfig, SamlConfig
from pileus.identity.federation.threads import Threads
from pileus.kit.faults import Unauthorized

if TYPE_CHECKING:
    from pileus.identity.federation.saml_messages import Messages, Said

log = logging.getLogger(__name__)
PATH = "/v3/OS-FEDERATION/identity_providers/{}/protocols/{}/auth/saml2"


class SamlProviders:
    def __init__(self, config: FederationConfig, keys: SamlKeys, threads: Threads):
        self._known = {name: SamlProvider(name, config.identity_url, settings, keys, threads)
                       for name, settings in config.saml.items()}

    def find(self, idp_id: str, protocol_id: str) -> SamlProvider | None:
        return self._known.get(f"{idp_id}/{protocol_id}")

    def of_protocol(self, protocol_id: str) -> list[str]:
        """Ids of the identity providers that have it."""
        return [name.rpartition("/")[0] for name in self._known if name.rpartition("/")[2] == protocol_id]

    async def at_shibboleth(self, issuer: str) -> tuple[str, str]:
        """Identity provider and protocol of who may send people to the address that several have in common; nothing
        that it says is proven yet."""
        for provider in self._known.values():
            if provider.settings.shibboleth and provider.settings.unsolicited and await provider.issuer() == issuer:
                return provider.idp_id, provider.protocol_id
        raise Unauthorized()


def read(raw: bytes, binding: str) -> saml_documents.Plain:
    """A response that may be looked at, though nothing of it is proven yet."""
    try:
        return saml_documents.plain(raw, binding)
    except NotPlain as error:
        log.warning("a SAML response was refused: %s", error)
        raise Unauthorized() from error


class SamlProvider:
    """As its service provider. Messages come in a browser's form (post) or a program's envelope (soap)."""

    def __init__(self, name: str, identity_url: str, settings: SamlConfig, keys: SamlKeys, threads: Threads):
        self.settings, self.keys, self.threads = settings, keys, threads
        self.idp_id, _, self.protocol_id = name.rpartition("/")
        self.url = identity_url.rstrip("/") + PATH.format(self.idp_id, self.protocol_id)
        self.auth_url = self.url.removesuffix("/saml2")
        self.entity_id = settings.entity_id or self.url
        self.places = {"post": f"{self.url}/post", "soap": f"{self.url}/ecp"}
        if settings.shibboleth:
            root = urlsplit(identity_url)._replace(path="/Shibboleth.sso/SAML2").geturl()
            self.places = {"post": f"{root}/POST", "soap": f"{root}/ECP"}

    def _messages(self) -> Messages:
        from pileus.identity.federation.saml_messages import Messages  # noqa: PLC0415 - few clouds need pysaml2
        return Messages(self)

    async def begin(self, relay_state: str) -> tuple[str, str]:
        """The id of a new request, and the address to which a browser carries it."""
        return await self.threads.run(lambda: self._messages().request(relay_state))

    async def begin_ecp(self, relay_state: Callable[[str], str]) -> str:
        """An envelope for programs that carry it to the provider; `relay_state` makes what comes back with the answer
        from the id of the request."""
        return await self.threads.run(lambda: self._messages().enveloped_request(relay_state))

    async def issuer(self) -> str:
        """What the provider calls itself."""
        return self.settings.idp_entity_id or await self.threads.run(lambda: self._messages().issuer())

    async def metadata(self) -> str:
        """What we tell the provider of ourselves."""
        return await self.threads.run(lambda: self._messages().metadata())

    async def verified(self, response: saml_documents.Plain, binding: str, request_id: str | None) -> Said:
        """Raises Unauthorized unless the provider says it, to us, now, and in answer to `request_id`, if there is
        one."""
        return await self.threads.run(lambda: self._messages().verified(response.text, binding, request_id))
