"""One running copy of identity."""

from __future__ import annotations

from pileus.identity import certificates
from pileus.identity.compliance import Compliance
from pileus.identity.config import ComplianceConfig, IdentityConfig
from pileus.identity.contexts import Contexts
from pileus.identity.directory.directories import Directories
from pileus.identity.federation.oidc import OidcProviders
from pileus.identity.federation.saml import SamlProviders
from pileus.identity.federation.saml_idp import SamlIdp
from pileus.identity.federation.saml_keys import SamlKeys
from pileus.identity.federation.settings import FederationConfig
from pileus.identity.feed import Feed
from pileus.identity.jws import JwsKeys
from pileus.identity.keys import KeyRepository
from pileus.identity.model import revocations
from pileus.identity.passwords import Passwords
from pileus.identity.service import SERVICE
from pileus.kit.bus import Bus, MemoryBus
from pileus.kit.caller import Caller
from pileus.kit.clock import Clock
from pileus.kit.db import Connection, Db
from pileus.kit.service import Runtime
from pileus.kit.web import Ctx


class Identity(Runtime):
    """`feed` tells validators of the same process what changed; `authenticate` is identity's own Authenticator."""

    def __init__(self, config: IdentityConfig, *, db: Db, bus: Bus | None = None, clock: Clock | None = None,
                 compliance: ComplianceConfig | None = None, federation: FederationConfig | None = None):
        super().__init__(SERVICE, db=db, bus=bus or MemoryBus(), clock=clock)
        self.config = config
        kind = JwsKeys if config.token_provider == "jws" else KeyRepository
        self.keys = kind(config.token_keys, self.clock)
        self.credential_keys = KeyRepository(config.credential_keys, self.clock)
        self.keys.prepare()
        self.credential_keys.prepare()
        self.passwords = Passwords(self.clock, rounds=config.password_rounds, remembered=config.password_remembered)
        self.compliance = Compliance(compliance or ComplianceConfig(), self.passwords, self.clock)
        self.feed = Feed()
        self.contexts = Contexts(self)
        self.directories = Directories(self)
        self.federation = federation or FederationConfig()
        self.oidc = OidcProviders(self.federation, self.clock)
        keys = SamlKeys(config.credential_keys)
        self.saml = SamlProviders(self.federation, keys)
        self.saml_idp = SamlIdp(self.federation, keys, self.clock)
        self.heard: int | None = None          # up to which change of other processes `feed` was told

    async def authenticate(self, token: str, *, expired_ok: bool = False) -> Caller:
        return (await self.contexts.of(token, expired_ok=expired_ok)).caller

    async def without_token(self, ctx: Ctx) -> Caller | None:
        return await certificates.caller_of(self, ctx.certificate, ctx.request.headers)

    async def announce(self, tx: Connection, *subjects: str, revoke: bool = False) -> None:
        """Tell every validator that `subjects` changed, once `tx` commits; `revoke` ends their tokens as well."""
        now = self.clock()
        await revocations.record(tx, dict.fromkeys(subjects, now if revoke else 0.0), expires_at=self.ends(now))
        tx.on_commit(lambda: self.feed.publish(subjects))

    def ends(self, now: float) -> float:
        """When nobody accepts a token issued by `now` any more."""
        return now + self.config.token_seconds + self.config.expired_token_seconds
