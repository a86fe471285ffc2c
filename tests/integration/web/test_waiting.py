"""The done-bell: who waits is woken when the job has ended, and by nothing else."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from pydantic import SecretStr

from jobresults.errors import LedgerUnavailable, NotFound
from jobresults.jobs.reading import JobRecord
from jobresults.redis_store import BELL_CHANNEL, Client, connect
from jobresults.settings import RedisSettings
from jobresults.web import waiting
from jobresults.web.request_counts import HELD
from jobresults.web.waiting import DoneBell
from tests.services.process import eventually

LONG_SECONDS = 100.0
BACKGROUND = {"done-bell", "bell-sweep"}


class Jobs:
    """Stands between the bell and a ledger: which jobs have ended, and how often it was asked."""

    def __init__(self) -> None:
        self.done: set[str] = set()
        self.reads: list[str] = []
        self.sweeps: list[Sequence[str]] = []
        self.away = False

    def read(self, job_id: str) -> Callable[[], JobRecord]:
        def read() -> JobRecord:
            self.reads.append(job_id)
            if job_id == "unknown":
                raise NotFound("no such job")
            fields: dict[str, Any] = dict.fromkeys(JobRecord.__dataclass_fields__)
            state = "succeeded" if job_id in self.done else "running"
            return JobRecord(**{**fields, "id": job_id, "state": state})

        return read

    def ended(self, ids: Sequence[str]) -> list[str]:
        self.sweeps.append(ids)
        if self.away:
            raise LedgerUnavailable("away")
        return [job_id for job_id in ids if job_id in self.done]


class Waiting:
    """A bell, and threads that wait by it."""

    def __init__(self, redis: Client, threads: ThreadPoolExecutor, max_waiters: int = 100) -> None:
        self.jobs, self.redis, self._threads = Jobs(), redis, threads
        self.bell = DoneBell(redis, max_waiters, self.jobs.ended)

    def wait(
        self, job_id: str, *, seconds: float = LONG_SECONDS, client: Any = None
    ) -> Future[JobRecord]:
        """A request that waits; it has read the job once when this returns."""
        reads = len(self.jobs.reads)
        read = self.jobs.read(job_id)
        environ = {"gunicorn.socket": client}
        call = self._threads.submit(self.bell.wait, job_id, seconds, read, environ)
        eventually(lambda: len(self.jobs.reads) > reads, "it has read")
        return call


@pytest.fixture
def quick_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "_SWEEP_SECONDS", 0.01)


@pytest.fixture
def no_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(DoneBell, "_sweep", lambda *_: None)


@pytest.fixture
def waits(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Waiting]:
    monkeypatch.setattr(waiting, "_LOOK_SECONDS", 0.05)
    with connect(RedisSettings(url=SecretStr(redis_url))) as redis, ThreadPoolExecutor(8) as pool:
        made = Waiting(redis, pool)
        made.bell.start()
        eventually(lambda: made.bell._connected, "the bell is heard")
        yield made
        made.bell.drain()
        eventually(lambda: not BACKGROUND & {t.name for t in threading.enumerate()}, "all is quiet")


@pytest.fixture
def deaf(waits: Waiting) -> Waiting:
    """A bell that hears nothing: as if Redis were away."""
    waits.bell._connected = False
    waits.bell._wake_all = lambda: None  # type: ignore[method-assign]
    return waits


@pytest.mark.usefixtures("no_sweeps")
@pytest.mark.parametrize("message", ["a", "a b c", "x a", "a x"])
def test_a_ring_wakes_those_whose_jobs_it_names(waits: Waiting, message: str) -> None:
    named = [job_id for job_id in "abc" if job_id in message]
    calls = {job_id: waits.wait(job_id) for job_id in "abc"}
    twin = waits.wait("a")
    waits.jobs.done.update(named)
    waits.redis.publish(BELL_CHANNEL, message)
    assert all(calls[job_id].result(30).done for job_id in named)
    assert twin.result(30).done
    others = [job_id for job_id in "abc" if job_id not in named]
    assert not any(calls[job_id].done() for job_id in others)
    assert waits.jobs.reads.count("b") == (2 if "b" in named else 1)
    waits.bell.drain()
    assert not any(calls[job_id].result(30).done for job_id in others)


@pytest.mark.usefixtures("no_sweeps")
def test_a_false_alarm_is_waited_through(waits: Waiting) -> None:
    call = waits.wait("a")
    waits.redis.publish(BELL_CHANNEL, "a")
    eventually(lambda: waits.jobs.reads.count("a") == 2, "it has looked")
    assert not call.done()
    waits.jobs.done.add("a")
    waits.bell.ring("a")
    assert call.result(30).done


@pytest.mark.usefixtures("quick_sweeps")
def test_a_job_whose_ring_was_lost_is_found_by_the_sweep(waits: Waiting) -> None:
    call, other = waits.wait("a"), waits.wait("b")
    waits.jobs.done.add("a")
    assert call.result(30).done
    assert waits.jobs.reads.count("b") == 1, "who is not found is not read"
    waits.bell.drain()
    other.result(30)


@pytest.mark.usefixtures("quick_sweeps")
def test_each_waiting_job_has_its_turn_in_one_of_five_sweeps(waits: Waiting) -> None:
    calls = [waits.wait(name) for name in "abcdef"]
    eventually(lambda: set("abcdef") <= set().union(*waits.jobs.sweeps), "all had their turn")
    start = len(waits.jobs.sweeps)
    eventually(lambda: len(waits.jobs.sweeps) > start + 50, "more sweeps")
    asked = [job_id for ids in waits.jobs.sweeps[start : start + 50] for job_id in ids]
    rounds = [asked.count(job_id) for job_id in "abcdef"]
    assert max(rounds) - min(rounds) <= 1
    waits.bell.drain()
    for call in calls:
        call.result(30)


@pytest.mark.usefixtures("quick_sweeps")
def test_without_a_bell_every_sweep_looks_at_every_job(deaf: Waiting) -> None:
    calls = [deaf.wait(name) for name in "abcdef"]
    start = len(deaf.jobs.sweeps)
    eventually(lambda: len(deaf.jobs.sweeps) > start + 5, "sweeps go on")
    assert all(set(ids) == set("abcdef") for ids in deaf.jobs.sweeps[start + 1 :])
    deaf.jobs.done.update("abcdef")
    assert all(call.result(30).done for call in calls)


@pytest.mark.usefixtures("quick_sweeps")
def test_a_sweep_that_fails_is_not_the_last(waits: Waiting) -> None:
    waits.jobs.away = True
    call = waits.wait("a")
    eventually(lambda: len(waits.jobs.sweeps) > 3, "the ledger was asked in vain")
    assert not call.done()
    waits.jobs.done.add("a")
    waits.jobs.away = False
    assert call.result(30).done


@pytest.mark.usefixtures("quick_sweeps")
def test_a_client_that_hangs_up_frees_its_place(waits: Waiting) -> None:
    ours, theirs = socket.socketpair()
    others, next_request = socket.socketpair()
    with ours, theirs, others, next_request:
        gone, stays = waits.wait("a", client=ours), waits.wait("a", client=others)
        next_request.send(b"GET / HTTP/1.1\r\n")  # pipelined, and no farewell
        theirs.close()
        assert not gone.result(30).done
        assert waits.bell._count == 1
        assert others.gettimeout() is None
        assert others.recv(100) == b"GET / HTTP/1.1\r\n"
        assert not stays.done()
        waits.jobs.done.add("a")
        waits.bell.ring("a")
        assert stays.result(30).done
    assert (waits.bell._count, waits.bell._waiters) == (0, {})


@pytest.mark.usefixtures("no_sweeps")
def test_the_job_is_read_once_more_when_the_wait_is_over(waits: Waiting) -> None:
    environ: dict[str, Any] = {}
    assert not waits.bell.wait("a", 0.05, waits.jobs.read("a"), environ).done
    assert HELD in environ
    assert waits.jobs.reads == ["a", "a"]
    assert waits.bell._waiters == {}


def test_who_need_not_wait_reads_once(waits: Waiting) -> None:
    waits.jobs.done.add("a")
    environ: dict[str, Any] = {}
    assert waits.bell.wait("a", LONG_SECONDS, waits.jobs.read("a"), environ).done
    assert not waits.bell.wait("b", 0, waits.jobs.read("b"), environ).done
    assert environ == {}, "neither was held"
    with pytest.raises(NotFound):
        waits.bell.wait("unknown", LONG_SECONDS, waits.jobs.read("unknown"), {})
    assert waits.jobs.reads == ["a", "b", "unknown"]
    assert (waits.bell._count, waits.bell._waiters) == (0, {})


@pytest.mark.usefixtures("no_sweeps")
def test_more_than_may_wait_are_answered_at_once(waits: Waiting) -> None:
    waits.bell._max_waiters = 2
    calls = [waits.wait("a"), waits.wait("b")]
    assert not waits.bell.wait("a", LONG_SECONDS, waits.jobs.read("a"), {}).done
    waits.bell.drain()
    for call in calls:
        assert not call.result(30).done
