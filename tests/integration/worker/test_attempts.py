"""What a worker's executor does with the jobs it is handed, without ledger and Redis around it."""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from jobresults.jobs.catalog import load_catalog
from jobresults.jobs.outcome import Ending
from jobresults.jobs.running import Claimed
from jobresults.settings import Settings
from jobresults.worker.attempts import Attempts
from tests.integration.worker.odd_tasks import announced
from tests.integration.worker.service import MODULES
from tests.services.process import eventually

_LONG_SECONDS = 0.1


@pytest.fixture
def attempts(caplog: pytest.LogCaptureFixture) -> Iterator[Attempts]:
    caplog.set_level(logging.INFO)  # as a worker's own logging has it
    running = Attempts(load_catalog(MODULES), Settings())
    yield running
    running.close()


def claimed(job_id: str, task: str = "echo", **params: Any) -> Claimed:
    return Claimed(
        id=job_id,
        epoch=1,
        task=task,
        queue="default",
        client="me",
        customer=None,
        tags="[]",
        params=json.dumps(params).encode(),
        attempt=1,
        max_attempts=3,
        timeout_seconds=60,
        result_ttl_seconds=60,
        due_at_ms=1,
        dispatched_at_ms=1,
        created_at_ms=1,
        started_at_ms=1,
        request_id=None,
        traceparent=None,
        tracestate=None,
        rerun_of=None,
    )


def until(attempts: Attempts, condition: Callable[[], Any], what: str) -> None:
    def look() -> Any:
        attempts.wait(0.02)
        attempts.collect()
        attempts.check(grace_is_over=False)
        return condition()

    eventually(look, what)


def ended(attempts: Attempts) -> dict[str, Ending | None]:
    return {attempt.job.id: attempt.ending for attempt in attempts.ended}


def begin_long(attempts: Attempts, directory: Path, *behind: Claimed) -> None:
    """A job that runs until it is told, and others behind it."""
    attempts.begin([claimed("long", "runs_until_told", directory=str(directory)), *behind])
    until(attempts, lambda: announced(directory), "the long job runs")


def test_what_waits_behind_a_long_job_is_taken_back_and_does_not_run(
    attempts: Attempts, tmp_path: Path
) -> None:
    """Red if the executor does not ask the board before it begins."""
    marks = [tmp_path / f"mark-{number}" for number in range(5)]
    behind = [claimed(mark.name, "leaves_a_mark", path=str(mark)) for mark in marks]
    begin_long(attempts, tmp_path, *behind)
    assert attempts.room == 0
    time.sleep(_LONG_SECONDS)
    assert attempts.take_back_behind_long() == behind
    assert attempts.take_back_behind_long() == []
    attempts.begin([claimed("next", value=1)])
    (tmp_path / "go").touch()
    until(attempts, lambda: "next" in ended(attempts), "the next job has run")
    assert ended(attempts) == {"long": Ending(result=b"1"), "next": Ending(result=b"1")}
    assert not any(mark.exists() for mark in marks)


def test_what_was_canceled_or_lost_while_it_waited_does_not_run(
    attempts: Attempts, tmp_path: Path
) -> None:
    begin_long(attempts, tmp_path, *(claimed(name, value=name) for name in "abc"))
    attempts.cancel({"a"})
    attempts.lose({"b"})
    (tmp_path / "go").touch()
    until(attempts, lambda: "c" in ended(attempts), "the last one has run")
    found = ended(attempts)
    assert "b" not in found
    assert found["c"] == Ending(result=b'"c"')
    canceled = found["a"]
    assert canceled is not None
    assert canceled.error is not None
    assert canceled.error.code == "job_canceled"


def test_a_worker_told_to_stop_gives_back_what_has_not_begun(
    attempts: Attempts, tmp_path: Path
) -> None:
    begin_long(attempts, tmp_path, claimed("waits"))
    attempts.give_up_waiting()
    assert ended(attempts) == {"waits": Ending(requeue="shutdown")}
    (tmp_path / "go").touch()
    until(attempts, lambda: not attempts.is_running, "the long job has ended")
    assert ended(attempts)["long"] == Ending(result=b"1")


def test_an_executor_that_does_not_begin_is_replaced(
    attempts: Attempts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobresults.worker.attempts._BEGIN_SECONDS", 1.0)
    os.kill(attempts._executor.pid, signal.SIGSTOP)  # maybe before it leads its own group
    attempts.begin([claimed("one", value=1)])
    until(attempts, lambda: ended(attempts), "a fresh one has run it")
    assert ended(attempts) == {"one": Ending(result=b"1")}


def test_large_parameters_do_not_hold_up_the_supervisor(attempts: Attempts, tmp_path: Path) -> None:
    """Red if the pipe to the executor blocks: it holds 64 KiB, and nobody reads it now."""
    large = "x" * 1_000_000
    begin_long(attempts, tmp_path, *(claimed(name, value=large) for name in "ab"))
    (tmp_path / "go").touch()
    until(attempts, lambda: "b" in ended(attempts), "all have run")
    assert ended(attempts)["b"] == Ending(result=json.dumps(large).encode())


def test_words_that_could_not_be_written_are_kept(attempts: Attempts) -> None:
    attempts.begin([claimed("talks", "talks", lines=3)])
    until(attempts, lambda: ended(attempts), "it has talked")
    words = attempts.take_words()
    assert len(words.lines) == 3
    assert not attempts.words
    attempts.keep_words(words)
    assert attempts.take_words() == words


def is_gone(process: psutil.Process) -> bool:
    try:
        return process.status() == psutil.STATUS_ZOMBIE  # whose new parent does not care
    except psutil.NoSuchProcess:
        return True


def living_children(attempts: Attempts) -> list[psutil.Process]:
    children = psutil.Process(attempts._executor.pid).children()
    return [child for child in children if not is_gone(child)]


def after_two_isolated(attempts: Attempts) -> psutil.Process:
    """The process that waits for the third isolated job."""
    attempts.begin([claimed(name, "tells_its_own_process") for name in "ab"])
    until(attempts, lambda: len(attempts.ended) == 2, "two isolated jobs end")
    used = {int(ending.result or 0) for ending in ended(attempts).values() if ending}

    def waiting() -> list[psutil.Process]:
        left = living_children(attempts)
        return left if len(left) == 1 and left[0].pid not in used else []

    return eventually(waiting, "only the waiting process is left")[0]


def test_the_process_of_an_isolated_job_is_forked_before_the_job_comes(attempts: Attempts) -> None:
    spare = after_two_isolated(attempts)

    attempts.begin([claimed("c", "tells_its_own_process"), claimed("d", "tells_its_process")])

    until(attempts, lambda: len(attempts.ended) == 4, "the others end")
    results = {name: ending.result for name, ending in ended(attempts).items() if ending}
    assert results["c"] == str(spare.pid).encode()
    assert results["d"] == str(attempts._executor.pid).encode()
    assert not psutil.Process(attempts._executor.pid).children(), "none waits behind a shared job"


def test_an_isolated_job_whose_waiting_process_was_killed_fails_alone(attempts: Attempts) -> None:
    after_two_isolated(attempts).kill()

    attempts.begin([claimed("c", "tells_its_own_process"), claimed("d", "tells_its_own_process")])

    until(attempts, lambda: len(attempts.ended) == 4, "the others end")
    endings = ended(attempts)
    assert (c := endings["c"]) is not None
    assert c.error is not None
    assert c.error.code == "executor_killed"
    assert (d := endings["d"]) is not None
    assert d.result is not None


def test_a_waiting_process_ends_with_its_executor(attempts: Attempts) -> None:
    spare = after_two_isolated(attempts)

    os.kill(attempts._executor.pid, signal.SIGKILL)

    eventually(lambda: is_gone(spare), "the waiting process is gone")
