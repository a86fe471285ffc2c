"""API keys of calling services: issuing them, and telling who presents one."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import insert, select

from jobresults.accounts.model import api_key
from jobresults.batching import Batcher
from jobresults.database import Database
from jobresults.errors import InvalidRequest, LedgerUnavailable, Unauthenticated

_CACHE_SECONDS = 5.0
_CACHE_ENTRIES = 10_000
_BATCH = 200
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
    requests_per_second: float | None = None

    @property
    def is_operator(self) -> bool:
        """Sees the jobs of every client."""
        return Scope.OPERATE in self.scopes

    @property
    def owner(self) -> str | None:
        """Whose jobs it may see; None means everyone's."""
        return None if self.is_operator else self.client


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
        self._known: dict[str, _Verdict] = {}
        self._look_up: Batcher[str, _Verdict] = Batcher(self._look_up_together, _BATCH)

    def authenticate(self, token: str) -> Principal:
        """Who presents this key.

        Raises:
            Unauthenticated: unknown or revoked (at most 5 s ago it may still have been accepted).
            LedgerUnavailable: the key is not remembered and the ledger does not answer.
        """
        digest = _digest(token)
        verdict = self._known.get(digest)
        if verdict is None or verdict.good_until < time.monotonic():
            try:
                verdict = self._look_up(token)
            except LedgerUnavailable:
                # Nobody can revoke a key while the ledger is away: what was good still is.
                if verdict is None or verdict.principal is None:
                    raise
        if verdict.principal is None:
            raise Unauthenticated("the API key is unknown or revoked")
        return verdict.principal

    def remembered(self, token: str) -> Principal | None:
        """Who presents this key, if that is in memory and less than 5 s old; no query is made."""
        verdict = self._known.get(_digest(token))
        if verdict is None or verdict.good_until < time.monotonic():
            return None
        return verdict.principal

    def _look_up_together(self, tokens: Sequence[str]) -> list[_Verdict | Exception]:
        """Whoever finds a verdict too old asks here; one query serves all of them."""
        good_until = time.monotonic() + _CACHE_SECONDS
        ids = {parts[1] for token in tokens if (parts := _TOKEN.fullmatch(token))}
        rows: dict[str, Any] = {}
        if ids:
            query = select(api_key).where(api_key.c.id.in_(ids), api_key.c.revoked_at_ms.is_(None))
            rows = {row.id: row for row in self._database.rows(query)}
        verdicts: list[_Verdict | Exception] = []
        for token in tokens:
            verdict = _Verdict(good_until, _principal(token, rows))
            if len(self._known) >= _CACHE_ENTRIES:
                self._known.clear()
            self._known[_digest(token)] = verdict
            verdicts.append(verdict)
        return verdicts


@dataclass(frozen=True, slots=True)
class _Verdict:
    """Until then, by the monotonic clock, the ledger is not asked again; None: not to be let in."""

    good_until: float
    principal: Principal | None


def _principal(token: str, rows: Mapping[str, Any]) -> Principal | None:
    parts = _TOKEN.fullmatch(token)
    row = rows.get(parts[1]) if parts else None
    if row is None or not hmac.compare_digest(row.key_sha256, _digest(token)):
        return None
    return Principal(row.client, frozenset(Scope(scope) for scope in row.scopes.split()))


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
