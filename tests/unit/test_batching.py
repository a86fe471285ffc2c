"""Concurrent calls are answered together, each with its own answer."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from jobresults.batching import Batcher


def test_calls_made_meanwhile_share_the_next_batch() -> None:
    sizes: list[int] = []
    first_works, all_wait = threading.Event(), threading.Event()

    def run(items: Sequence[int]) -> list[int | Exception]:
        sizes.append(len(items))
        if len(sizes) == 1:
            first_works.set()
            assert all_wait.wait(10)
        return [item * 2 for item in items]

    batcher = Batcher(run, max_size=8)
    with ThreadPoolExecutor(20) as threads:
        first = threads.submit(batcher, 0)
        assert first_works.wait(10)
        others = [threads.submit(batcher, number) for number in range(1, 20)]
        while len(batcher._waiting) < 19:
            pass
        all_wait.set()
        assert [call.result(10) for call in (first, *others)] == [2 * n for n in range(20)]
    assert sizes == [1, 8, 8, 3]


def test_an_answer_that_is_an_exception_reaches_its_caller_alone() -> None:
    def run(items: Sequence[int]) -> list[int | Exception]:
        return [ValueError(str(item)) if item % 2 else item for item in items]

    batcher = Batcher(run, max_size=4)
    assert batcher(2) == 2
    with pytest.raises(ValueError, match="3"):
        batcher(3)


def test_what_the_batch_raises_reaches_every_caller_and_the_next_batch_works() -> None:
    broken = True

    def run(items: Sequence[int]) -> Sequence[int | Exception]:
        if broken:
            raise OSError("no disk")
        return items

    batcher = Batcher(run, max_size=4)
    with ThreadPoolExecutor(4) as threads:
        for call in [threads.submit(batcher, number) for number in range(4)]:
            with pytest.raises(OSError, match="no disk"):
                call.result(10)
    broken = False
    assert batcher(1) == 1


def test_nobody_waits_for_ever_for_a_caller_that_was_killed() -> None:
    works, go_on = threading.Event(), threading.Event()

    def run(items: Sequence[str]) -> Sequence[str | Exception]:
        if "killed" in items:
            works.set()
            assert go_on.wait(10)
            raise SystemExit
        return items

    batcher = Batcher(run, max_size=1)

    def call() -> None:
        with pytest.raises(SystemExit):
            batcher("killed")

    killed = threading.Thread(target=call)
    killed.start()
    assert works.wait(10)
    with ThreadPoolExecutor(1) as threads:
        other = threads.submit(batcher, "other")
        while not batcher._waiting:
            pass
        go_on.set()
        assert other.result(10) == "other"
    killed.join(10)
