"""Compares what callers were told, what the ledger holds and what really happened."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

from sqlalchemy import Row, select

from jobresults.database import Database
from jobresults.jobs.model import idempotency_key, job, job_event
from tests.faults.soak.callers import Accepted
from tests.faults.soak.plan import MAX_ATTEMPTS, Plan, Work
from tests.faults.soak.supervisor import Mark

# Promise 4, from the kill on.
RECOVERY_LIMIT_SECONDS = 20.0
_ORPHAN_LIMIT_MS = 200
_LETTERS = {"submitted": "s", "dispatched": "d", "started": "a", "retried": "r", "requeued": "q"}
_LIFE = re.compile("sd*(a[rq]d*)*at")
# What takes an attempt from a job without any fault of its task.
_TAKEN = {"worker_lost", "executor_killed"}


class Attempt(NamedTuple):
    """The events at both ends, the worker's process, and when the job started again."""

    begin: Row[Any]
    end: Row[Any]
    worker_pid: int
    again_at_ms: int | None


@dataclass
class Story:
    """All that is known of one job."""

    row: Row[Any]
    events: list[Row[Any]] = field(default_factory=list)
    effects: list[str] = field(default_factory=list)

    @property
    def starts(self) -> list[Row[Any]]:
        return [event for event in self.events if event.event == "started"]

    def attempts(self) -> Iterator[Attempt]:
        """Each start with what came of it."""
        turns = [event for event in self.events if event.event not in ("progress", "dispatched")]
        for number, (begin, end) in enumerate(pairwise(turns), 2):
            if begin.event == "started":
                pid = int(json.loads(begin.detail)["worker"].rsplit("-", 2)[1])
                later = (event.at_ms for event in turns[number:] if event.event == "started")
                yield Attempt(begin, end, pid, next(later, None))

    def told(self) -> str:
        """The timeline in one line a event."""
        begin = self.events[0].at_ms if self.events else 0
        return "\n".join(
            f"    {(event.at_ms - begin) / 1000:8.3f} {event.event} {event.attempt} {event.detail}"
            for event in self.events
        )


@dataclass(frozen=True)
class Recovery:
    """What became of a job whose worker or executor was killed."""

    job_id: str
    of: str
    given_back_after_ms: int
    started_after_ms: int | None


def read_stories(database: Database, effects: Sequence[str]) -> dict[str, Story]:
    """By job id."""
    with database.read() as connection:
        stories = {row.id: Story(row) for row in connection.execute(select(job))}
        for event in connection.execute(select(job_event).order_by(job_event.c.id)):
            stories[event.job_id].events.append(event)
    for effect in effects:
        stories[effect.partition(" ")[0]].effects.append(effect)
    return stories


def keys_of(database: Database) -> dict[str, str]:
    """The job of each Idempotency-Key."""
    with database.read() as connection:
        rows = connection.execute(select(idempotency_key.c.key, idempotency_key.c.job_id))
        return {row.key: row.job_id for row in rows}


def audit(
    plan: Plan, accepted: Sequence[Accepted], keys: dict[str, str], stories: dict[str, Story]
) -> Iterator[str]:
    """Every broken promise, with the timeline of its job."""
    works = {work.key: work for work in plan.work}
    yield from _wrong_acceptances(works, accepted, keys, stories)
    for job_id, story in stories.items():
        for problem in _problems(story, works[_key(story)]):
            yield f"{job_id}: {problem}\n{story.told()}"


def _wrong_acceptances(
    works: dict[str, Work],
    accepted: Sequence[Accepted],
    keys: dict[str, str],
    stories: dict[str, Story],
) -> Iterator[str]:
    told: dict[str, set[str]] = defaultdict(set)
    for acceptance in accepted:
        told[acceptance.key].add(acceptance.job_id)
    copies = Counter(_key(story) for story in stories.values())
    for key in works:
        if told[key] != {keys.get(key)}:
            yield f"{key}: callers were told {sorted(told[key])}, the ledger says {keys.get(key)}"
        if copies[key] != 1:
            yield f"{key}: {copies[key]} jobs"
    for acceptance in accepted:
        if acceptance.job_id not in stories:
            yield f"{acceptance.job_id}: lost"


def recoveries(stories: dict[str, Story], marks: Sequence[Mark]) -> list[Recovery]:
    """Of every job that ran when its worker or executor was killed."""
    kills = [mark for mark in marks if mark.event in ("kill", "executor kill")]
    return [
        Recovery(
            story.row.id,
            "executor" if kill.event == "executor kill" else "worker",
            attempt.end.at_ms - kill.at_ms,
            None if attempt.again_at_ms is None else attempt.again_at_ms - kill.at_ms,
        )
        for story in stories.values()
        for attempt in story.attempts()
        for kill in kills
        if kill.pid == attempt.worker_pid and attempt.begin.at_ms <= kill.at_ms < attempt.end.at_ms
    ]


def orphans(stories: dict[str, Story], marks: Sequence[Mark]) -> Iterator[str]:
    """Executors that went on although their worker was dead."""
    killed_at_ms = {mark.pid: mark.at_ms for mark in marks if mark.event == "kill"}
    for story in stories.values():
        # Who is given a job back by a dead worker counts one attempt more.
        worker_of = {attempt.begin.attempt: attempt.worker_pid for attempt in story.attempts()}
        for effect in story.effects:
            _, number, at_ms, _ = effect.split()
            dead_ms = int(at_ms) - killed_at_ms.get(worker_of.get(int(number), 0), int(at_ms))
            if dead_ms > _ORPHAN_LIMIT_MS:
                yield f"{story.row.id}: an effect {dead_ms} ms after its worker was killed"


def taken_from_living(stories: dict[str, Story], marks: Sequence[Mark]) -> list[str]:
    """The jobs that lost an attempt to an expired lease although nobody hit their worker.

    No promise says that there are none, but each is a start wasted.
    """
    hits = [mark for mark in marks if mark.event in ("kill", "stop", "terminate")]
    return [
        story.row.id
        for story in stories.values()
        for attempt in story.attempts()
        if "worker_lost" in attempt.end.detail
        and not any(
            hit.pid == attempt.worker_pid and attempt.begin.at_ms <= hit.at_ms < attempt.end.at_ms
            for hit in hits
        )
    ]


def _key(story: Story) -> str:
    return str(json.loads(story.row.params)["key"])


def _problems(story: Story, work: Work) -> Iterator[str]:
    row, starts = story.row, story.starts
    life = "".join(
        _LETTERS.get(event.event, "t") for event in story.events if event.event != "progress"
    )
    if not _LIFE.fullmatch(life):
        yield f"has lived {life}"
    if story.events and story.events[-1].event != row.state:
        yield f"is {row.state}, but its timeline ends with {story.events[-1].event}"
    # A start that a shutdown cut short and gave back does not count as an attempt.
    given_back = sum("shutdown" in event.detail for event in story.events)
    if not 1 <= len(starts) - given_back <= MAX_ATTEMPTS or row.attempt > MAX_ATTEMPTS:
        yield f"started {len(starts)} times, {given_back} given back; attempt {row.attempt}"
    begun = Counter(event.attempt for event in starts)
    left = Counter(int(effect.split()[1]) for effect in story.effects)
    if left - begun:
        yield f"effects by attempt {dict(left)}, starts by attempt {dict(begun)}"
    yield from _wrong_outcome(story, work)


def _wrong_outcome(story: Story, work: Work) -> Iterator[str]:
    row = story.row
    if row.state == "succeeded":
        if not work.ends_well:
            yield "succeeded, although its task cannot"
        token = json.loads(row.result)
        if token not in story.effects or token.split()[1] != str(row.attempt):
            yield f"its result {token} is not of attempt {row.attempt}, effects {story.effects}"
    elif row.state == "failed":
        code = json.loads(row.error)["code"]
        if code not in _TAKEN and (work.ends_well or code != "task_error"):
            yield f"failed with {row.error}"
        if row.attempt < MAX_ATTEMPTS and not (work.permanent and code == "task_error"):
            yield f"failed with attempts left: {row.error}"
    else:
        yield f"is {row.state}"
