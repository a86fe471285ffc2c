"""API keys of calling services: issuing, listing, revoking and rotating them."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, and_, insert, or_, select, update

from jobresults.accounts.grant import Grant
from jobresults.accounts.model import api_key
from jobresults.accounts.principal import Scope
from jobresults.database import Database
from jobresults.errors import NotFound

_ID = re.compile(r"[0-9a-f]{12}")


@dataclass(frozen=True)
class ApiKey:
    """A key as its managers see it: `id` is what it begins with. Times in ms since 1970 UTC."""

    id: str
    client: str
    scopes: tuple[str, ...]
    customers: tuple[str, ...] | None
    requests_per_second: float | None
    created_at_ms: int
    expires_at_ms: int | None
    last_used_at_ms: int | None
    revoked_at_ms: int | None

    @property
    def prefix(self) -> str:
        """How the key itself begins."""
        return f"jr_{self.id}"

    @property
    def cursor(self) -> str:
        """Where a list goes on behind it."""
        return f"{self.created_at_ms}_{self.id}"


def issue(database: Database, *, client: str, scopes: Iterable[str] = tuple(Scope)) -> str:
    """As `issue_key`, for a key without limits; returns the key alone."""
    return issue_key(database, Grant(client, tuple(scopes)))[0]


def issue_key(database: Database, grant: Grant) -> tuple[str, ApiKey]:
    """Make a key for a client. The key itself can be read now and never again, for only its hash is
    kept.

    Raises:
        InvalidRequest: the client's name, a scope or a limit is not valid.
        LedgerUnavailable: nothing was issued.
    """
    grant.check()
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    token = f"jr_{key_id}_{secret}"
    with database.write() as connection:
        now_ms = database.read_clock_ms(connection)
        lifetime_ms = None if grant.lifetime_seconds is None else grant.lifetime_seconds * 1000
        customers = None if grant.customers is None else sorted(set(grant.customers))
        values = {
            "id": key_id,
            "client": grant.client,
            "scopes": " ".join(sorted(set(grant.scopes))),
            "customers": None if customers is None else json.dumps(customers),
            "requests_per_second": grant.requests_per_second,
            "created_at_ms": now_ms,
            "expires_at_ms": None if lifetime_ms is None else now_ms + round(lifetime_ms),
        }
        connection.execute(
            insert(api_key).values(key_sha256=hashlib.sha256(token.encode()).hexdigest(), **values)
        )
        (row,) = connection.execute(select(api_key).where(api_key.c.id == key_id))
    return token, _api_key(row)


def all_keys(database: Database, *, client: str | None = None) -> list[ApiKey]:
    """Every key, revoked ones included, in the order of their issue.

    Raises:
        LedgerUnavailable
    """
    return [_api_key(row) for row in database.rows(_in_order(client))]


def page(
    database: Database, *, client: str | None, after: str | None, limit: int
) -> tuple[list[ApiKey], str | None]:
    """As `all_keys`, up to so many of them, behind a cursor; and the cursor to go on behind, None
    on the last page. Keys issued meanwhile come on the last page.

    Raises:
        LedgerUnavailable
    """
    query = _in_order(client)
    if after is not None:
        at_ms, _, key_id = after.partition("_")
        at_once = and_(api_key.c.created_at_ms == int(at_ms), api_key.c.id > key_id)
        query = query.where(or_(api_key.c.created_at_ms > int(at_ms), at_once))
    rows = database.rows(query.limit(limit + 1))
    keys = [_api_key(row) for row in rows[:limit]]
    return keys, keys[-1].cursor if len(rows) > limit else None


def _in_order(client: str | None) -> Select[Any]:
    query = select(api_key).order_by(api_key.c.created_at_ms, api_key.c.id)
    return query if client is None else query.where(api_key.c.client == client)


def revoke(database: Database, key_id: str) -> ApiKey:
    """Let a key be refused: at once where it was revoked, everywhere within 5 s. Repeating it
    changes nothing.

    Raises:
        NotFound, LedgerUnavailable
    """
    key_id = key_id.removeprefix("jr_")
    if not _ID.fullmatch(key_id):
        raise NotFound("no such API key")
    with database.write() as connection:
        connection.execute(
            update(api_key)
            .where(api_key.c.id == key_id, api_key.c.revoked_at_ms.is_(None))
            .values(revoked_at_ms=database.now_ms())
        )
        row = connection.execute(select(api_key).where(api_key.c.id == key_id)).first()
    if row is None:
        raise NotFound("no such API key")
    return _api_key(row)


def rotate(database: Database, key_id: str, *, overlap_seconds: float) -> tuple[str, ApiKey]:
    """A new key for the same as the old one, which is good for `overlap_seconds` more. A key with
    an expiry is followed by one that lives as long.

    Raises:
        NotFound: unknown or revoked.
        LedgerUnavailable: a new key may have been issued.
    """
    old = next((key for key in all_keys(database) if key.prefix == _prefixed(key_id)), None)
    if old is None or old.revoked_at_ms is not None:
        raise NotFound("no such API key, or it is revoked")
    lifetime_ms = None if old.expires_at_ms is None else old.expires_at_ms - old.created_at_ms
    grant = Grant(
        old.client,
        old.scopes,
        old.customers,
        old.requests_per_second,
        None if lifetime_ms is None else lifetime_ms / 1000,
    )
    token, new = issue_key(database, grant)
    ends_at_ms = new.created_at_ms + round(overlap_seconds * 1000)
    with database.write() as connection:
        later = or_(api_key.c.expires_at_ms.is_(None), api_key.c.expires_at_ms > ends_at_ms)
        connection.execute(
            update(api_key).where(api_key.c.id == old.id, later).values(expires_at_ms=ends_at_ms)
        )
    return token, new


def note_use(database: Database, ids: Collection[str], *, step_ms: int) -> None:
    """These keys are in use now; what is newer than `step_ms` stays.

    Raises:
        LedgerUnavailable
    """
    now_ms = database.now_ms()
    old = or_(api_key.c.last_used_at_ms.is_(None), api_key.c.last_used_at_ms < now_ms - step_ms)
    with database.write() as connection:
        connection.execute(
            update(api_key).where(api_key.c.id.in_(ids), old).values(last_used_at_ms=now_ms)
        )


def _prefixed(key_id: str) -> str:
    return key_id if key_id.startswith("jr_") else f"jr_{key_id}"


def _api_key(row: Any) -> ApiKey:
    return ApiKey(
        id=row.id,
        client=row.client,
        scopes=tuple(row.scopes.split()),
        customers=None if row.customers is None else tuple(json.loads(row.customers)),
        requests_per_second=row.requests_per_second,
        created_at_ms=row.created_at_ms,
        expires_at_ms=row.expires_at_ms,
        last_used_at_ms=row.last_used_at_ms,
        revoked_at_ms=row.revoked_at_ms,
    )
