"""How every service knows whose token it was shown: keys and memory first, identity's REST API for what is new."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from typing import Any

from pileus.identity import tokens
from pileus.identity.client import IdentityClient
from pileus.identity.feed import EVERYTHING, Feed, Remembered
from pileus.identity.keys import KeyRepository
from pileus.kit.caller import AccessRule, Caller
from pileus.kit.client import Refused, Unreachable
from pileus.kit.clock import Clock, SystemClock
from pileus.kit.faults import Unauthorized, Unavailable

log = logging.getLogger(__name__)
POLL_SECONDS = 0.8                    # changes elsewhere are heard of within this and one round trip
TRUST_SECONDS = 3.0                   # memory that was not refreshed for so long is not believed


class PolledFeed(Feed):
    """The feed of a process without identity: asks for changes all the time. `run` must be kept running."""

    def __init__(self, client: IdentityClient, clock: Clock | None = None):
        super().__init__()
        self.client, self.clock = client, clock or SystemClock()
        self._heard = -1
        self._heard_at = float("-inf")

    def trusted(self) -> bool:
        return self.clock() - self._heard_at < TRUST_SECONDS

    async def poll(self) -> None:
        asked_at, was_trusted = self.clock(), self.trusted()
        subjects, position = await self.client.changes(self._heard)
        if position < self._heard or not was_trusted:
            subjects = [EVERYTHING]
        self._heard, self._heard_at = position, asked_at
        self.publish(subjects)

    async def run(self) -> None:
        while True:
            try:
                await self.poll()
            except (Unreachable, Refused) as error:
                log.warning("identity does not tell what changed: %s", error)
            await self.clock.sleep(POLL_SECONDS)


class TokenValidator:
    """An Authenticator (`await validator(token) -> Caller`) for services other than identity."""

    def __init__(self, keys: KeyRepository, client: IdentityClient, feed: Feed, clock: Clock | None = None):
        self.keys, self.client, self.feed, self.clock = keys, client, feed, clock or SystemClock()
        self._known: Remembered[Caller] = Remembered()
        self._asking: dict[bytes, asyncio.Future[Caller]] = {}
        feed.subscribe(self._known.forget)

    async def __call__(self, token: str, *, expired_ok: bool = False) -> Caller:
        digest = Remembered.digest(token)
        known = self._known.get(digest, self.clock())
        if known is not None and self.feed.trusted():
            return known
        said = tokens.decode(self.keys, token)
        if said.expires_at <= self.clock():
            if not expired_ok:
                raise Unauthorized()
            return await self._ask(digest, token, expired_ok=True)
        asking = self._asking.get(digest)
        if asking is None:
            asking = self._asking[digest] = asyncio.ensure_future(self._ask(digest, token))
            asking.add_done_callback(lambda _: self._asking.pop(digest, None))
        return await asyncio.shield(asking)

    async def _ask(self, digest: bytes, token: str, *, expired_ok: bool = False) -> Caller:
        position = self.feed.position
        try:
            body = await self.client.validate(token, allow_expired=expired_ok)
        except (Refused, Unreachable) as error:
            raise Unavailable(reason="Identity does not answer; try again.") from error
        if body is None:
            raise Unauthorized()
        caller = caller_of(body, token)
        if position == self.feed.position and not expired_ok:
            self._known.put(digest, caller.expires_at, caller, _subjects(body, caller))
        return caller


def _subjects(body: dict[str, Any], caller: Caller) -> list[str]:
    found = [f"user:{caller.user_id}", f"domain:{caller.user_domain_id}", f"token:{body['audit_ids'][0]}"]
    found += [f"project:{caller.project_id}", f"domain:{caller.project_domain_id}"] if caller.project_id else []
    found += [f"domain:{caller.domain_id}"] if caller.domain_id else []
    found += [f"app:{body['application_credential']['id']}"] if "application_credential" in body else []
    found += [f"oauth:{body['OS-OAUTH1']['access_token_id']}"] if "OS-OAUTH1" in body else []
    found += [f"idp:{user['identity_provider']['id']}"] if (user := body["user"].get("OS-FEDERATION")) else []
    return found + ([f"trust:{body['OS-TRUST:trust']['id']}"] if "OS-TRUST:trust" in body else [])


def caller_of(body: dict[str, Any], token: str) -> Caller:
    """From identity's answer to validation."""
    user, project, domain = body["user"], body.get("project"), body.get("domain")
    ends = datetime.strptime(body["expires_at"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC).timestamp()
    return Caller(
        user_id=user["id"], user_name=user["name"], user_domain_id=user["domain"]["id"],
        user_domain_name=user["domain"]["name"], project_id=project["id"] if project else None,
        project_name=project["name"] if project else None,
        project_domain_id=project["domain"]["id"] if project else None,
        project_domain_name=project["domain"]["name"] if project else None,
        domain_id=domain["id"] if domain else None, domain_name=domain["name"] if domain else None,
        system="system" in body, roles=tuple(role["name"] for role in body.get("roles", ())), token=token,
        expires_at=ends, access_rules=access_rules(body),
        thumbprint=body.get("oauth2_credential", {}).get("x5t#S256", ""))


def access_rules(body: dict[str, Any]) -> tuple[AccessRule, ...]:
    return tuple(AccessRule(rule["service"], rule["method"], rule["path"])
                 for rule in body.get("application_credential", {}).get("access_rules", ()))
