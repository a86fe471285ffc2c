"""Silences: what on-call does not want to hear of for a while, who said so, and why. Kept in the
ledger, and there for 30 days after they are over.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import uuid_utils
from sqlalchemy import BigInteger, Column, String, Table, delete, insert, select, update

from jobresults.alerts.model import Group
from jobresults.database import Database, metadata
from jobresults.errors import InvalidRequest, LedgerUnavailable, NotFound

logger = logging.getLogger(__name__)

MAX_SECONDS = 30 * 86_400
KEPT_SECONDS = 30 * 86_400
MAX_REASON_CHARACTERS = 500
MAX_NAME_CHARACTERS = 200
_CACHE_SECONDS = 5.0
_MAX_ACTIVE = 1_000
_TTL = re.compile(r"([0-9]{1,9})([smhd]?)")
_UNIT_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}
_CONTROL = re.compile(r"[\x00-\x1f\x7f]|[\ud800-\udfff]")

silence = Table(
    "silence",
    metadata,
    Column("id", String(36), primary_key=True, comment="UUIDv7: sorts by creation"),
    Column("fingerprint", String(MAX_NAME_CHARACTERS), comment="null: any"),
    Column("task", String(MAX_NAME_CHARACTERS), comment="null: any"),
    Column("customer", String(MAX_NAME_CHARACTERS), comment="null: any"),
    Column("reason", String(MAX_REASON_CHARACTERS), nullable=False),
    Column("created_by", String(MAX_NAME_CHARACTERS), nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False, index=True),
    Column("ended_at_ms", BigInteger, comment="when someone ended it early"),
    Column("ended_by", String(MAX_NAME_CHARACTERS)),
)


@dataclass(frozen=True)
class Silence:
    """Groups that match all it names are not told. Times are milliseconds by the ledger's clock;
    `active` is of the moment it was read.
    """

    id: str
    fingerprint: str | None
    task: str | None
    customer: str | None
    reason: str
    created_by: str
    created_at_ms: int
    expires_at_ms: int
    ended_at_ms: int | None
    ended_by: str | None
    active: bool

    def hides(self, group: Group) -> bool:
        """Whether the group is one of those. One that hurts other customers too is not hidden by
        one customer's silence.
        """
        sample = group.sample
        return (
            self.fingerprint in (None, group.fingerprint)
            and self.task in (None, sample.task)
            and (
                self.customer is None
                or (self.customer == sample.customer and group.customer_count <= 1)
            )
        )


def parse_ttl(text: str | float) -> int:
    """Seconds of `90`, `30m`, `2h` or `1d`.

    Raises:
        InvalidRequest: something else, or not within 1 s and 30 days.
    """
    found = _TTL.fullmatch(str(text))
    seconds = int(found[1]) * _UNIT_SECONDS[found[2]] if found else 0
    if not 1 <= seconds <= MAX_SECONDS:
        message = "give seconds, or a number with s, m, h or d (30m, 2h, 1d); at most 30d"
        raise InvalidRequest(f"ttl: {message}", [{"path": "ttl", "message": message}])
    return seconds


def create(
    database: Database,
    *,
    ttl: str | float,
    created_by: str,
    reason: str = "",
    fingerprint: str | None = None,
    task: str | None = None,
    customer: str | None = None,
) -> Silence:
    """Hide what matches all of the given, for so long from now.

    Raises:
        InvalidRequest: names each wrong field.
        LedgerUnavailable: nothing was written.
    """
    matchers = {"fingerprint": fingerprint, "task": task, "customer": customer}
    texts = {"reason": reason, "created_by": created_by}
    _check(matchers, texts)
    milliseconds = parse_ttl(ttl) * 1000
    with database.write() as connection:
        now_ms = database.read_clock_ms(connection)
        values = {
            **matchers,
            **texts,
            "id": str(uuid_utils.uuid7()),
            "created_at_ms": now_ms,
            "expires_at_ms": now_ms + milliseconds,
            "ended_at_ms": None,
            "ended_by": None,
        }
        connection.execute(insert(silence).values(**values))
    logger.info("%s has silenced %s for %s: %s", created_by, matchers, ttl, reason)
    return Silence(active=True, **values)  # type: ignore[arg-type]


def end(database: Database, silence_id: str, *, ended_by: str) -> Silence:
    """End it now; one that is over stays as it was.

    Raises:
        NotFound, LedgerUnavailable
    """
    not_found = NotFound("no such silence; GET /v1/silences lists them")
    if _CONTROL.search(silence_id):  # PostgreSQL refuses NUL
        raise not_found
    with database.write() as connection:
        now_ms = database.read_clock_ms(connection)
        connection.execute(
            update(silence)
            .where(
                silence.c.id == silence_id,
                silence.c.ended_at_ms.is_(None),
                silence.c.expires_at_ms > now_ms,
            )
            .values(ended_at_ms=now_ms, ended_by=ended_by[:MAX_NAME_CHARACTERS])
        )
        row = connection.execute(select(silence).where(silence.c.id == silence_id)).first()
    if row is None:
        raise not_found
    logger.info("%s has ended the silence %s", ended_by, silence_id)
    return _silence(row, now_ms)


def page(
    database: Database, *, active: bool | None = None, before_id: str | None = None, limit: int = 50
) -> tuple[list[Silence], str | None]:
    """Silences, newest first, and where the next page begins; None if this is the last.

    Raises:
        LedgerUnavailable
    """
    now = database.now_ms()
    query = select(silence, now.label("now_ms")).order_by(silence.c.id.desc()).limit(limit + 1)
    is_active = silence.c.ended_at_ms.is_(None) & (silence.c.expires_at_ms > now)
    if active is not None:
        query = query.where(is_active if active else ~is_active)
    if before_id is not None:
        query = query.where(silence.c.id < before_id)
    found = [_silence(row, row.now_ms) for row in database.rows(query)]
    return found[:limit], found[limit - 1].id if len(found) > limit else None


def forget(database: Database, batch_size: int) -> int:
    """Delete those that would have been over 30 days ago. Returns how many.

    Raises:
        LedgerUnavailable
    """
    old = (
        select(silence.c.id)
        .where(silence.c.expires_at_ms <= database.now_ms() - KEPT_SECONDS * 1000)
        .limit(batch_size)
    )
    with database.write() as connection:
        return connection.execute(delete(silence).where(silence.c.id.in_(old))).rowcount


class Silences:
    """Those in force, as the relay asks for them: remembered for 5 s, and for as long as the ledger
    does not answer.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: Sequence[tuple[Silence, float]] = ()
        self._good_until = 0.0

    def find(self, group: Group) -> Silence | None:
        """One that hides the group; None if it is to be told."""
        now = time.monotonic()
        if now >= self._good_until:
            self._load(now)
        return next(
            (item for item, over_at in self._known if now < over_at and item.hides(group)), None
        )

    def _load(self, now: float) -> None:
        self._good_until = now + _CACHE_SECONDS
        try:
            found, _ = page(self._database, active=True, limit=_MAX_ACTIVE)
            with self._database.read() as connection:
                now_ms = self._database.read_clock_ms(connection)
        except LedgerUnavailable as error:
            logger.warning("silences are as they were last known: %s", error)
            return
        self._known = [(item, now + (item.expires_at_ms - now_ms) / 1000) for item in found]


def _check(matchers: dict[str, str | None], texts: dict[str, str]) -> None:
    problems = []
    if not any(matchers.values()):
        problems.append(("fingerprint", "give at least one of fingerprint, task and customer"))
    for name, text in matchers.items():
        if text is not None and (
            not 1 <= len(text) <= MAX_NAME_CHARACTERS or _CONTROL.search(text)
        ):
            problems.append((name, f"must be 1 to {MAX_NAME_CHARACTERS} printable characters"))
    longest = {"reason": MAX_REASON_CHARACTERS, "created_by": MAX_NAME_CHARACTERS}
    for name, text in texts.items():
        if len(text) > longest[name] or _CONTROL.search(text):
            problems.append((name, f"must be at most {longest[name]} printable characters"))
    if problems:
        path, message = problems[0]
        raise InvalidRequest(
            f"{path}: {message}", [{"path": path, "message": text} for path, text in problems]
        )


def _silence(row: Any, now_ms: int) -> Silence:
    values = {name: getattr(row, name) for name in silence.c.keys()}  # noqa: SIM118 - not a dict
    return Silence(
        active=row.ended_at_ms is None and row.expires_at_ms > now_ms,
        **values,
    )
