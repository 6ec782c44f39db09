"""What is asked of passwords and of those who log in: strength, age, history, lockout; all off by default."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from pileus.identity.config import ComplianceConfig
from pileus.identity.faults import InvalidBody, PasswordExpired, Refused
from pileus.identity.model import logins
from pileus.identity.model.users import User
from pileus.identity.passwords import Passwords
from pileus.kit.clock import Clock
from pileus.kit.config import BadConfig
from pileus.kit.db import Connection, Db
from pileus.kit.faults import Unauthorized

DAY = 86_400.0


def must_differ(old: str, new: str) -> None:
    if new == old:
        raise InvalidBody(reason="The new password must be different from the original one.")


class Compliance:
    def __init__(self, config: ComplianceConfig, passwords: Passwords, clock: Clock):
        self.config, self.passwords, self.clock = config, passwords, clock
        try:
            self._pattern = re.compile(config.password_regex) if config.password_regex else None
        except re.error as error:
            raise BadConfig(f"security_compliance.password_regex is no regular expression: {error}") from error

    # -- logging in -------------------------------------------------------------------------

    async def verify(self, db: Db, user: User | None, password: str) -> None:
        """Raises Unauthorized, alike and after as long, for nobody, a wrong password and somebody locked out."""
        locked = await self.locked(db, user)
        hashed = None if user is None or locked else user.password_hash
        if not await self.passwords.verify(password, hashed):
            await self.failed(db, None if locked else user)
            raise Unauthorized()
        if user is not None and self.expired(user):
            raise PasswordExpired(user_id=user.id)

    async def locked(self, db: Db, user: User | None) -> bool:
        config = self.config
        if not (config.lockout_failure_attempts or config.disable_user_account_days_inactive) or user is None:
            return False
        async with db.read() as reader:
            login = await logins.find(reader, user.id) or logins.Login(user_id=user.id)
        if config.lockout_failure_attempts and not user.options.get("ignore_lockout_failure_attempts"):
            recent = login.failed_at + config.lockout_duration >= self.clock()
            if recent and login.failures >= config.lockout_failure_attempts:
                return True
        return self._away(user, login)

    def _away(self, user: User, login: logins.Login | None) -> bool:
        """Whether somebody has not shown their password for so long that they may not any more."""
        days = self.config.disable_user_account_days_inactive
        if not days or user.password_hash is None or user.options.get("ignore_user_inactivity"):
            return False
        return max(login.succeeded_at if login else 0.0, user.created_at) + days * DAY < self.clock()

    async def as_told(self, conn: Connection, found: list[User]) -> list[User]:
        """Who was away too long is told to be disabled."""
        if not self.config.disable_user_account_days_inactive:
            return found
        last = await logins.by_user(conn, {user.id for user in found})
        return [msgspec.structs.replace(user, enabled=False) if self._away(user, last.get(user.id)) else user
                for user in found]

    async def readmit(self, tx: Connection, user: User) -> None:
        """An administrator enables them."""
        if self.config.disable_user_account_days_inactive:
            await logins.note(tx, user.id, succeeded_at=self.clock())

    async def failed(self, db: Db, user: User | None) -> None:
        """Counted also, in vain, for nobody, since a write takes time."""
        if self.config.lockout_failure_attempts:
            async with db.write() as tx:
                await logins.failed(tx, user.id if user else None, self.clock(),
                                    since=self.clock() - self.config.lockout_duration)

    async def succeeded(self, db: Db, user: User) -> None:
        """Only once all was shown that a user has to show: one right factor does not forgive wrong other ones."""
        if self.config.lockout_failure_attempts or self.config.disable_user_account_days_inactive:
            async with db.read() as reader:
                login = await logins.find(reader, user.id)
            if login is None or login.failures or login.succeeded_at + DAY / 24 < self.clock():
                async with db.write() as tx:
                    await logins.succeeded(tx, user.id, self.clock())

    def expired(self, user: User) -> bool:
        return user.password_expires_at is not None and user.password_expires_at <= self.clock() \
            and not user.options.get("ignore_password_expiry")

    # -- choosing a password ----------------------------------------------------------------

    async def set(self, password: str | None, options: dict[str, Any], *, by_admin: bool = True) -> dict[str, Any]:
        """The columns of a user who gets `password`."""
        if password is None:
            return {"password_hash": None, "password_changed_at": self.clock(), "password_expires_at": None}
        self.must_be_strong(password)
        now = self.clock()
        return {"password_hash": await self.passwords.hash(password), "password_changed_at": now,
                "password_expires_at": self._ends(options, now, by_admin)}

    def _ends(self, options: dict[str, Any], now: float, by_admin: bool) -> float | None:
        if by_admin and self.config.change_password_upon_first_use \
                and not options.get("ignore_change_password_upon_first_use"):
            return now
        if self.config.password_expires_days and not options.get("ignore_password_expiry"):
            return now + self.config.password_expires_days * DAY
        return None

    def must_be_strong(self, password: str) -> None:
        if self._pattern is not None and not self._pattern.match(password):
            raise InvalidBody(reason="The password does not match the requirements: "
                                     f"{self.config.password_regex_description}.")

    async def must_be_new(self, db: Db, user: User, password: str) -> None:
        """What a user who changes their own password has to keep to."""
        first_use = user.password_expires_at is not None and user.password_expires_at == user.password_changed_at
        age = self.clock() - (user.password_changed_at or 0.0)
        if age < self.config.minimum_password_age * DAY and not first_use:
            raise InvalidBody(reason="Cannot change password before minimum age "
                                     f"{self.config.minimum_password_age} days is met.")
        count = self.config.unique_last_password_count
        if not count:
            return
        async with db.read() as reader:
            former = await logins.former_passwords(reader, user.id, count - 1)
        for hashed in [user.password_hash, *former]:
            if hashed and await self.passwords.verify(password, hashed):
                raise InvalidBody(reason="The new password cannot be identical to a previous password. The total "
                                         f"number which includes the new password must be unique is {count}.")

    async def remember(self, tx: Connection, user: User) -> None:
        """The password that is about to be replaced may not be chosen again."""
        if self.config.unique_last_password_count > 1 and user.password_hash:
            former = logins.FormerPassword(user_id=user.id, generation=user.generation, hashed=user.password_hash)
            await logins.keep_password(tx, former, most=self.config.unique_last_password_count - 1)


# -- options of users -------------------------------------------------------------------------------------------------

FLAGS = ("ignore_change_password_upon_first_use", "ignore_password_expiry", "ignore_lockout_failure_attempts",
         "lock_password", "ignore_user_inactivity", "multi_factor_auth_enabled")
RULES = "multi_factor_auth_rules"


def with_user_options(options: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Options of a user after a change; null takes one away."""
    for name, value in changes.items():
        if name not in (*FLAGS, RULES):
            raise InvalidBody(reason=f"Invalid input: there is no user option {name}.")
        if value is None:
            continue
        if name in FLAGS and not isinstance(value, bool):
            raise InvalidBody(reason=f"Invalid input: {name} must be true, false or null.")
        if name == RULES:
            _must_be_rules(value)
    return {key: value for key, value in (options | changes).items() if value is not None}


def _must_be_rules(value: Any) -> None:
    try:
        rules = msgspec.convert(value, list[list[str]])
    except msgspec.ValidationError as error:
        raise InvalidBody(reason=f"Invalid input for {RULES}: {error}") from None
    if any(not rule or len(set(rule)) != len(rule) for rule in rules) or len({tuple(r) for r in rules}) != len(rules):
        raise InvalidBody(reason=f"Invalid input for {RULES}: rules and the methods in them must be unique and not "
                                 "empty.")


def must_be_unlocked(user: User) -> None:
    if user.options.get("lock_password"):
        raise Refused(reason="The password is locked; an administrator has to change it.")
