"""Telling who presents an API key or a person's token, without a query for each request."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import re
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from jobresults.accounts import api_keys
from jobresults.accounts.grant import PERSON_PREFIX
from jobresults.accounts.model import api_key, person, revoked_token
from jobresults.accounts.principal import Principal, Role, Scope
from jobresults.accounts.tokens import Claims, Tokens
from jobresults.batching import Batcher
from jobresults.database import Database
from jobresults.errors import LedgerUnavailable, Unauthenticated

logger = logging.getLogger(__name__)

_CACHE_SECONDS = 5.0
_CACHE_ENTRIES = 10_000
_BATCH = 200
_KEY = re.compile(r"jr_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")
_NOTE_USE_SECONDS = 10.0
_USE_STEP_MS = 60_000


class KeyRing:
    """Authenticates keys and tokens; remembers each verdict for 5 s, so a busy client costs no
    query a request.
    """

    def __init__(self, database: Database, tokens: Tokens | None = None) -> None:
        """`tokens` None: nobody can have logged in."""
        self._database = database
        self._tokens = tokens
        self._known: dict[str, _Verdict] = {}
        self._look_up: Batcher[str, _Verdict] = Batcher(self._look_up_together, _BATCH)
        self._used: set[str] = set()

    def start(self) -> None:
        """From now on note in the background which keys are used."""
        threading.Thread(target=self._note_use_for_ever, name="key-use", daemon=True).start()

    def authenticate(self, token: str) -> Principal:
        """Who presents this key or token.

        Raises:
            Unauthenticated: unknown, expired or revoked (until 5 s ago it may have been accepted).
            LedgerUnavailable: it is not remembered and the ledger does not answer.
        """
        verdict = self._known.get(digest(token))
        now = time.monotonic()
        if verdict is None or verdict.good_until < now:
            try:
                verdict = self._look_up(token)
            except LedgerUnavailable:
                # Nobody can revoke a key while the ledger is away: what was good still is, until it
                # expires.
                if verdict is None or verdict.principal is None or verdict.ends_at < now:
                    raise
        if verdict.principal is None:
            raise Unauthenticated("the API key or token is unknown, expired or revoked")
        return verdict.principal

    def remembered(self, token: str) -> Principal | None:
        """Who presents this, if that is in memory and less than 5 s old; no query is made."""
        verdict = self._known.get(digest(token))
        if verdict is None or verdict.good_until < time.monotonic():
            return None
        return verdict.principal

    def forget_all(self) -> None:
        """Something was revoked in this process: ask the ledger anew."""
        self._known.clear()

    def note_use(self) -> None:
        """Write down when the keys used lately were used, to the minute.

        Raises:
            LedgerUnavailable: it will be written next time.
        """
        used = set(self._used)
        if used:
            api_keys.note_use(self._database, used, step_ms=_USE_STEP_MS)
            self._used -= used

    def _note_use_for_ever(self) -> None:
        while True:
            time.sleep(_NOTE_USE_SECONDS)
            try:
                self.note_use()
            except LedgerUnavailable:
                continue
            except Exception:
                logger.exception("the use of API keys was not noted")

    def _look_up_together(self, tokens: Sequence[str]) -> list[_Verdict | Exception]:
        """Whoever finds a verdict too old asks here; at most three queries serve all of them."""
        asked_at = time.monotonic()
        rows = self._key_rows(tokens)
        claims = {
            token: read
            for token in tokens
            if self._tokens is not None and (read := self._tokens.read(token)) is not None
        }
        people, revoked = self._people(claims.values()), self._revoked(claims.values())
        verdicts: list[_Verdict | Exception] = []
        for token in tokens:
            if token in claims:
                verdict = _of_person(claims[token], people, revoked, asked_at)
            else:
                verdict = self._of_key(token, rows, asked_at)
            if len(self._known) >= _CACHE_ENTRIES:
                self._known.clear()
            self._known[digest(token)] = verdict
            verdicts.append(verdict)
        return verdicts

    def _key_rows(self, tokens: Sequence[str]) -> Mapping[str, Any]:
        ids = {parts[1] for token in tokens if (parts := _KEY.fullmatch(token))}
        if not ids:
            return {}
        query = select(api_key, self._database.now_ms().label("now_ms")).where(
            api_key.c.id.in_(ids), api_key.c.revoked_at_ms.is_(None)
        )
        return {row.id: row for row in self._database.rows(query)}

    def _people(self, claims: Any) -> Mapping[int, Any]:
        ids = {claim.person_id for claim in claims}
        if not ids:
            return {}
        query = select(person.c.id, person.c.name, person.c.role, person.c.token_generation).where(
            person.c.id.in_(ids), person.c.disabled_at_ms.is_(None)
        )
        return {row.id: row for row in self._database.rows(query)}

    def _revoked(self, claims: Any) -> frozenset[str]:
        ids = {claim.token_id for claim in claims}
        if not ids:
            return frozenset()
        query = select(revoked_token.c.id).where(revoked_token.c.id.in_(ids))
        return frozenset(row.id for row in self._database.rows(query))

    def _of_key(self, token: str, rows: Mapping[str, Any], asked_at: float) -> _Verdict:
        parts = _KEY.fullmatch(token)
        row = rows.get(parts[1]) if parts else None
        if row is None or not hmac.compare_digest(row.key_sha256, digest(token)):
            return _refused(asked_at)
        ends_at = float("inf")
        if row.expires_at_ms is not None:
            ends_at = asked_at + (row.expires_at_ms - row.now_ms) / 1000
            if ends_at <= asked_at:
                return _refused(asked_at)
        if row.last_used_at_ms is None or row.last_used_at_ms < row.now_ms - _USE_STEP_MS:
            self._used.add(row.id)
        principal = Principal(
            client=row.client,
            scopes=frozenset(Scope(scope) for scope in row.scopes.split()),
            requests_per_second=row.requests_per_second,
            customers=None if row.customers is None else frozenset(json.loads(row.customers)),
        )
        return _accepted(principal, asked_at, ends_at)


@dataclass(frozen=True, slots=True)
class _Verdict:
    """By the monotonic clock: until `good_until` the ledger is not asked again, until `ends_at` the
    key has not expired. No principal: not to be let in.
    """

    good_until: float
    ends_at: float
    principal: Principal | None


def _accepted(principal: Principal, asked_at: float, ends_at: float) -> _Verdict:
    return _Verdict(min(asked_at + _CACHE_SECONDS, ends_at), ends_at, principal)


def _refused(asked_at: float) -> _Verdict:
    return _Verdict(asked_at + _CACHE_SECONDS, asked_at, None)


def _of_person(
    claims: Claims, people: Mapping[int, Any], revoked: frozenset[str], asked_at: float
) -> _Verdict:
    row = people.get(claims.person_id)
    if (
        row is None
        or claims.token_id in revoked
        or claims.generation != row.token_generation
        or claims.left_seconds <= 0
    ):
        return _refused(asked_at)
    principal = Principal(
        client=f"{PERSON_PREFIX}{row.name}",
        scopes=Role(row.role).scopes,
        person_id=row.id,
        token_id=claims.token_id,
    )
    return _accepted(principal, asked_at, asked_at + claims.left_seconds)


def digest(token: str) -> str:
    """What is kept of a key: it cannot be turned back."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
