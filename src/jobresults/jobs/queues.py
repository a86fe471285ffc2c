"""The queues as operators see them, and pausing one: its jobs are kept, and none is started."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from jobresults.batching import Batcher
from jobresults.database import Database
from jobresults.jobs.backlog import Holding, count
from jobresults.jobs.model import paused_queue

logger = logging.getLogger(__name__)

# Counting fewer costs no more than any request.
_FEW_JOBS = 10_000
_REST = 20
_MAX_CALLERS = 1_000


@dataclass(frozen=True)
class QueueState:
    """A queue as operators see it."""

    name: str
    holding: Holding = field(default_factory=Holding)
    paused_at_ms: int | None = None
    paused_by: str | None = None

    @property
    def queued(self) -> int:
        """All that wait, for whatever."""
        return self.holding.jobs - self.holding.running

    @property
    def held(self) -> int:
        """Those among them that wait for their customer's turn or for a limit."""
        return self.holding.in_turn + self.holding.limited


def paused(database: Database) -> frozenset[str]:
    """The queues that are paused.

    Raises:
        LedgerUnavailable
    """
    return frozenset(row.queue for row in database.rows(select(paused_queue.c.queue)))


def pause(database: Database, queue: str, by: str) -> bool:
    """Start no more jobs of a queue: within a second on all workers, until it is resumed. What runs
    goes on. False if it was paused before.

    Raises:
        LedgerUnavailable
    """
    values = {"queue": queue, "paused_at_ms": database.now_ms(), "paused_by": by}
    try:
        with database.write() as connection:
            connection.execute(insert(paused_queue).values(values))
    except IntegrityError:
        return False
    logger.warning("queue %s is paused by %s", queue, by, extra={"queue": queue, "by": by})
    return True


def resume(database: Database, queue: str, by: str) -> bool:
    """Start jobs of a queue again. False if it was not paused.

    Raises:
        LedgerUnavailable
    """
    with database.write() as connection:
        gone = connection.execute(delete(paused_queue).where(paused_queue.c.queue == queue))
    if gone.rowcount:
        logger.warning("queue %s is resumed by %s", queue, by, extra={"queue": queue, "by": by})
    return bool(gone.rowcount)


class Census:
    """Counts the queues for one process. Whoever asks at the same time shares a count; one of more
    than 10,000 jobs holds for 20 times as long as it took. So what it tells is exact: of this
    moment or, with very many jobs, of one a little ago; and counting never takes more than a
    twentieth of the database's time.
    """

    def __init__(self, database: Database, known: Iterable[str]) -> None:
        self._database = database
        self._known = frozenset(known)
        self._holdings: dict[str, Holding] = {}
        self._holds_until = 0.0
        self._counted: Batcher[None, dict[str, Holding]] = Batcher(self._count_once, _MAX_CALLERS)

    def take(self) -> list[QueueState]:
        """All queues by name: those that tasks use, and those that hold jobs or are paused all the
        same.

        Raises:
            LedgerUnavailable
        """
        holdings = self._counted(None)
        pauses = {row.queue: row for row in self._database.rows(select(paused_queue))}
        return [
            QueueState(
                name,
                holdings.get(name, Holding()),
                paused_at_ms=pauses[name].paused_at_ms if name in pauses else None,
                paused_by=pauses[name].paused_by if name in pauses else None,
            )
            for name in sorted({*self._known, *holdings, *pauses})
        ]

    def _count_once(self, callers: Sequence[None]) -> list[dict[str, Holding]]:
        began = time.monotonic()
        if began >= self._holds_until:
            self._holdings = count(self._database)
            if sum(holding.jobs for holding in self._holdings.values()) > _FEW_JOBS:
                ended = time.monotonic()
                self._holds_until = ended + _REST * (ended - began)
        return [self._holdings] * len(callers)
