"""The one transaction that makes jobs accepted: those of many requests at once, and of each request
all or none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, delete, insert, select
from sqlalchemy.exc import IntegrityError

from jobresults.database import Database
from jobresults.errors import (
    IdempotencyInFlight,
    IdempotencyMismatch,
    LedgerUnavailable,
    RequestError,
)
from jobresults.jobs import events, stored, turns
from jobresults.jobs.model import idempotency_key, job, job_tag
from jobresults.jobs.new_job import NewJob
from jobresults.jobs.reading import JobRecord
from jobresults.jobs.states import Event

_UNSET = dict.fromkeys(JobRecord.__dataclass_fields__)
_read = itemgetter(*_UNSET)


class Key(NamedTuple):
    """An `Idempotency-Key`; each client has its own."""

    client: str
    key: str


@dataclass(frozen=True)
class JobsRequest:
    """The jobs one request wants accepted, at least one; `fingerprint` tells requests with the same
    key apart.
    """

    jobs: Sequence[NewJob]
    key: Key | None
    fingerprint: str


@dataclass(frozen=True)
class Committed:
    """The jobs of a request as they were committed. Or none, and the first job of the earlier
    request with its key.
    """

    records: Sequence[JobRecord] = ()
    earlier: str | None = None


def accept_each(
    database: Database, requests: Sequence[JobsRequest], *, key_ttl_seconds: int, turn_jobs: int
) -> list[Committed | Exception]:
    """Commit the requests together or, if the ledger refuses that, one by one: whatever is wrong
    with one of them, the others must not suffer from it. An exception answers its request alone.

    Raises:
        LedgerUnavailable: nothing was accepted.
    """
    options = {"key_ttl_seconds": key_ttl_seconds, "turn_jobs": turn_jobs}
    try:
        return [*accept(database, requests, **options)]
    except LedgerUnavailable:
        raise
    except Exception:  # noqa: BLE001 - told to the request that meets it again
        answers: list[Committed | Exception] = []
        for request in requests:
            if answers and isinstance(answers[-1], LedgerUnavailable):
                answers.append(answers[-1])  # each attempt could take as long as this one
            else:
                answers.append(_accept_alone(database, request, options))
        return answers


def _accept_alone(
    database: Database, request: JobsRequest, options: Mapping[str, int]
) -> Committed | Exception:
    """The second look: a key that came between the first one and the insert is known now."""
    try:
        return accept(database, [request], **options)[0]
    except IntegrityError as error:
        if request.key is None:
            return error
        return IdempotencyInFlight(
            "another request with this Idempotency-Key is being answered; retry in a second"
        )
    except Exception as error:  # noqa: BLE001 - raised to its caller
        return error


def accept(
    database: Database, requests: Sequence[JobsRequest], *, key_ttl_seconds: int, turn_jobs: int
) -> list[Committed | RequestError]:
    """Commit all requests in one transaction, and answer them in their order. Of each customer so
    many jobs may wait in a queue's list; its further ones are held for their turns.

    A request whose key was used with another fingerprint is answered by `IdempotencyMismatch`.

    Raises:
        LedgerUnavailable: nothing was accepted.
        IntegrityError: nothing was accepted; another transaction, or another of these requests, has
            used a key meanwhile.
    """
    with database.write() as connection:
        look = turns.look(database, connection)
        known = _known(connection, requests, look.now_ms)
        new = [request for request in requests if request.key not in known]
        if new:
            _insert(database, connection, new, look, key_ttl_seconds, turn_jobs)
    return [_answer(request, known, look.now_ms) for request in requests]


def earlier(database: Database, request: JobsRequest) -> Committed | RequestError | None:
    """What an earlier request with the same key is answered by; None if there was none.

    Raises:
        LedgerUnavailable
    """
    if request.key is None:
        return None
    with database.write() as connection:
        now_ms = database.read_clock_ms(connection)
        known = _known(connection, [request], now_ms)
    return _answer(request, known, now_ms) if known else None


def _known(
    connection: Connection, requests: Iterable[JobsRequest], now_ms: int
) -> Mapping[Key | None, Row[Any]]:
    """What earlier requests have used these keys; keys whose time is over are forgotten."""
    keys_of: defaultdict[str, list[str]] = defaultdict(list)
    for request in requests:
        if request.key is not None:
            keys_of[request.key.client].append(request.key.key)
    known: dict[Key | None, Row[Any]] = {}
    # A query for each client: SQLite searches no index for pairs.
    for client, keys in keys_of.items():
        wanted = (idempotency_key.c.client == client) & idempotency_key.c.key.in_(keys)
        rows = connection.execute(select(idempotency_key).where(wanted)).all()
        known.update((Key(client, row.key), row) for row in rows if row.expires_at_ms > now_ms)
        if any(row.expires_at_ms <= now_ms for row in rows):
            connection.execute(
                delete(idempotency_key).where(wanted, idempotency_key.c.expires_at_ms <= now_ms)
            )
    return known


def _insert(
    database: Database,
    connection: Connection,
    requests: Sequence[JobsRequest],
    look: turns.Look,
    key_ttl_seconds: int,
    turn_jobs: int,
) -> None:
    now_ms = look.now_ms
    jobs = [new for request in requests for new in request.jobs]
    for new in jobs:
        new.set_times(now_ms)
    _take_turns(connection, jobs, turn_jobs, held=look.held)
    stored.change(connection, [(new.client, new.size_bytes) for new in jobs])
    connection.execute(insert(job), [new.row for new in jobs])
    tags = [{"tag": tag, "job_id": new.row["id"]} for new in jobs for tag in new.tags]
    if tags:
        connection.execute(insert(job_tag), tags)
    events.append(database, connection, [_submitted(new.row) for new in jobs], at_ms=now_ms)
    keys = [
        {
            **request.key._asdict(),
            "body_sha256": request.fingerprint,
            "job_id": request.jobs[0].row["id"],
            "expires_at_ms": now_ms + key_ttl_seconds * 1000,
        }
        # In one order everywhere: two processes that share keys must not wait for each other.
        for request in sorted(requests, key=lambda request: request.key or Key("", ""))
        if request.key is not None
    ]
    if keys:
        connection.execute(insert(idempotency_key), keys)


def _take_turns(
    connection: Connection, jobs: Sequence[NewJob], turn_jobs: int, *, held: bool
) -> None:
    at_once = [new for new in jobs if new.row["dispatched_at_ms"] is not None]
    lines = [(new.row["queue"], new.row["customer"]) for new in at_once]
    given = turns.assign(connection, lines, turn_jobs, held=held)
    for new, turn in zip(at_once, given, strict=True):
        if turn is not None:
            new.wait_for_turn(turn)


def _submitted(row: Mapping[str, Any]) -> events.Entry:
    detail = {"rerun_of": row["rerun_of"]} if row["rerun_of"] else {}
    return events.Entry(row["id"], Event.SUBMITTED, 0, detail)


def _answer(
    request: JobsRequest, known: Mapping[Key | None, Row[Any]], now_ms: int
) -> Committed | RequestError:
    earlier = known.get(request.key)
    if earlier is None:
        return Committed([_record(new.row, now_ms) for new in request.jobs])
    if earlier.body_sha256 != request.fingerprint:
        return IdempotencyMismatch(
            "this Idempotency-Key was used with another request; use a new key for a new request",
            job_id=earlier.job_id,
        )
    return Committed(earlier=earlier.job_id)


def _record(row: Mapping[str, Any], now_ms: int) -> JobRecord:
    """What reading the row would give."""
    return JobRecord(*_read({**_UNSET, **row, "now_ms": now_ms}))
