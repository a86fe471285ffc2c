"""API keys of calling services: issuing them, and telling who presents one."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import insert, select

from jobresults.accounts.model import api_key
from jobresults.database import Database
from jobresults.errors import InvalidRequest, LedgerUnavailable, Unauthenticated

_CACHE_SECONDS = 5.0
_CACHE_ENTRIES = 10_000
_TOKEN = re.compile(r"jr_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")


class Scope(StrEnum):
    """What a key may do. `operate` also lifts the limit to the client's own jobs."""

    SUBMIT = "submit"
    READ = "read"
    CANCEL = "cancel"
    OPERATE = "operate"


@dataclass(frozen=True)
class Principal:
    """Who calls, and what they may do."""

    client: str
    scopes: frozenset[Scope]

    @property
    def is_operator(self) -> bool:
        """Sees the jobs of every client."""
        return Scope.OPERATE in self.scopes


def issue(database: Database, *, client: str, scopes: Iterable[str] = tuple(Scope)) -> str:
    """Make a key for a client and return it: the only time it can be read, for only its hash is
    kept.

    Raises:
        InvalidRequest: the client's name or a scope is not valid.
        LedgerUnavailable: nothing was issued.
    """
    if not 1 <= len(client) <= 100 or not client.isprintable():
        raise InvalidRequest("client: 1 to 100 printable characters")
    granted = set(scopes)
    unknown = granted - set(Scope)
    if unknown or not granted:
        raise InvalidRequest(
            f"scope: {', '.join(sorted(unknown)) or 'none'}; valid: {', '.join(Scope)}"
        )
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    token = f"jr_{key_id}_{secret}"
    with database.write() as connection:
        connection.execute(
            insert(api_key).values(
                id=key_id,
                key_sha256=_digest(token),
                client=client,
                scopes=" ".join(sorted(granted)),
                created_at_ms=database.now_ms(),
            )
        )
    return token


class KeyRing:
    """Authenticates presented keys; remembers each verdict for 5 s, so a busy client costs no query
    a request.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, tuple[float, Principal | None]] = {}
        self._lock = threading.Lock()

    def authenticate(self, token: str) -> Principal:
        """Who presents this key.

        Raises:
            Unauthenticated: unknown or revoked (at most 5 s ago it may still have been accepted).
            LedgerUnavailable: the key is not remembered and the ledger does not answer.
        """
        digest = _digest(token)
        remembered = self._known.get(digest)
        if remembered is None or remembered[0] < time.monotonic():
            try:
                remembered = (time.monotonic() + _CACHE_SECONDS, self._look_up(token, digest))
            except LedgerUnavailable:
                # Nobody can revoke a key while the ledger is away: what was good still is.
                if remembered is None or remembered[1] is None:
                    raise
                return remembered[1]
            with self._lock:
                if len(self._known) >= _CACHE_ENTRIES:
                    self._known.clear()
                self._known[digest] = remembered
        if remembered[1] is None:
            raise Unauthenticated("the API key is unknown or revoked")
        return remembered[1]

    def _look_up(self, token: str, digest: str) -> Principal | None:
        parts = _TOKEN.fullmatch(token)
        if parts is None:
            return None
        with self._database.read() as connection:
            row = connection.execute(
                select(api_key).where(api_key.c.id == parts[1], api_key.c.revoked_at_ms.is_(None))
            ).first()
        if row is None or not hmac.compare_digest(row.key_sha256, digest):
            return None
        return Principal(row.client, frozenset(Scope(scope) for scope in row.scopes.split()))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
