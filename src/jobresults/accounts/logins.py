"""Logging in and out."""

from __future__ import annotations

import logging

from sqlalchemy import delete, insert
from sqlalchemy.exc import IntegrityError

from jobresults.accounts import people
from jobresults.accounts.login_limits import LoginLimits
from jobresults.accounts.model import revoked_token
from jobresults.accounts.passwords import Passwords
from jobresults.accounts.people import Credentials, Person
from jobresults.accounts.principal import Role
from jobresults.accounts.tokens import Issued, Tokens
from jobresults.database import Database
from jobresults.errors import Forbidden, InvalidRequest, NotFound, Unauthenticated
from jobresults.settings import AccountsSettings

logger = logging.getLogger(__name__)

# A clock that runs behind may accept a token for so long after its end.
_MARGIN_SECONDS = 60


class Logins:
    """Logs people in and out, for one process."""

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        tokens: Tokens | None,
        limits: LoginLimits,
        settings: AccountsSettings,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._tokens = tokens
        self._limits = limits
        self._settings = settings

    def register(self, name: str, password: str, address: str) -> Person:
        """An account for whoever wants one: a viewer.

        Raises:
            Forbidden: registration is closed.
            InvalidRequest, Conflict: the password or the name cannot be had.
            TooManyRequests: too many attempts from this address.
            LedgerUnavailable: nothing was made.
        """
        if self._settings.registration == "closed":
            raise Forbidden("registration is closed here; ask an admin for an account")
        people.check_password(password)
        self._limits.count(address)
        made = people.create(
            self._database,
            name=name,
            password_hash=self._passwords.hash(password),
            role=Role.VIEWER,
        )
        logger.info("user %d registered", made.id)
        return made

    def log_in(self, name: str, password: str, address: str) -> Issued:
        """A token for the person of that name. All refusals look alike and take as long.

        Raises:
            Unauthenticated: no such person, another password, or the account is disabled.
            TooManyRequests: too many attempts failed for this name, or from this address.
            NotFound: nobody can log in here, for there is no key to sign tokens with.
            LedgerUnavailable
        """
        if self._tokens is None:
            raise NotFound("people cannot log in here: accounts.token_keys is not set")
        found = self._proven(name, password, address)
        if found is None:
            # Not the name: people type their password there.
            logger.warning("a login was refused, from %s", address)
            raise Unauthenticated("wrong name or password")
        logger.info("user %d logged in, from %s", found.person.id, address)
        return self._tokens.issue(found.person.id, found.generation)

    def confirm(self, name: str, password: str | None, address: str) -> None:
        """Make sure that whoever has a person's token knows the password, too.

        Raises:
            InvalidRequest: no password is given.
            Forbidden: it is another one.
            TooManyRequests: too many attempts failed.
            LedgerUnavailable
        """
        if password is None:
            message = "give it, too, to change your own password"
            raise InvalidRequest(
                f"current_password: {message}", [{"path": "current_password", "message": message}]
            )
        if self._proven(name, password, address, holds_token=True) is None:
            raise Forbidden("current_password: it is another one")

    def _proven(
        self, name: str, password: str, address: str, *, holds_token: bool = False
    ) -> Credentials | None:
        """The active person of that name, if this is the password."""
        refusal = self._limits.count(address, name, holds_token=holds_token)
        found = people.credentials(self._database, name)
        right = self._passwords.is_right(None if found is None else found.password_hash, password)
        if found is None or not right or found.person.disabled_at_ms is not None:
            if refusal is not None:
                raise refusal
            return None
        self._limits.give_back(address, name, holds_token=holds_token)
        return found

    def log_out(self, token_id: str) -> None:
        """Revoke a token; every process refuses it within 5 s. Repeating it changes nothing.

        Raises:
            LedgerUnavailable: the token is still good.
        """
        now_ms, good_ms = self._database.now_ms(), self._settings.token_ttl_seconds * 1000
        try:
            with self._database.write() as connection:
                spent = revoked_token.c.expires_at_ms < now_ms
                connection.execute(delete(revoked_token).where(spent))
                expires_at_ms = now_ms + good_ms + _MARGIN_SECONDS * 1000
                connection.execute(
                    insert(revoked_token).values(id=token_id, expires_at_ms=expires_at_ms)
                )
        except IntegrityError:
            return  # it is revoked already
