"""Who comes when: repeatable, on time at a rate, and never more than asked for."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from jobresults.client import AuthenticationFailed
from jobresults.populate.asking import Asking, Steps
from jobresults.populate.caller import Caller, Request
from jobresults.populate.orders import Orders
from jobresults.populate.pace import MIX, Pace, Start
from jobresults.populate.pool import Pool
from jobresults.populate.tally import Tally
from tests.services.scripted_http import Answer, ScriptedServer
from tests.services.scripted_http import Request as Received


def pace(
    *,
    seed: int = 1,
    rate: float | None = None,
    jobs: int | None = None,
    duration: float | None = None,
) -> Pace:
    orders = Orders(seed, 3, "score", None)
    return Pace(orders, seed=seed, rate=rate, jobs=jobs, duration_seconds=duration)


def starts(of: Pace, most: int = 1_000) -> list[Start]:
    found = []
    while len(found) < most and (due := of.due()) is not None:
        found.append(of.next(due))
    return found


def test_the_same_seed_brings_the_same_callers_with_the_same_orders() -> None:
    def load(seed: int) -> list[tuple[str, tuple[str, ...]]]:
        some = starts(pace(seed=seed, jobs=200))
        return [(start.kind, tuple(order.name for order in start.orders)) for start in some]

    assert load(1) == load(1)
    assert load(1) != load(2)
    assert {kind for kind, _ in load(1)} == set(MIX)


def test_no_more_jobs_are_handed_in_than_asked_for() -> None:
    for jobs in (1, 2, 7, 100):
        some = starts(pace(jobs=jobs))
        assert jobs == sum(len(start.orders) for start in some)


def test_at_a_rate_callers_are_due_by_the_clock_alone() -> None:
    some = starts(pace(rate=1_000_000, jobs=300))
    gaps = [later.due - earlier.due for earlier, later in pairwise(some)]
    assert gaps == pytest.approx([len(start.orders) / 1e6 for start in some[:-1]], abs=1e-9)


def test_nobody_comes_after_the_duration() -> None:
    assert len(starts(pace(rate=1, duration=0))) == 0
    some = starts(pace(rate=10, duration=10))
    assert sum(len(start.orders) for start in some) >= 100


def test_who_comes_as_fast_as_allowed_is_held_back_but_nobody_at_a_rate() -> None:
    later = time.monotonic() + 1_000
    free, timed = pace(), pace(rate=1)
    for each in (free, timed):
        each.hold(later)
    assert free.due() == later
    due = timed.due()
    assert due is not None
    assert due < later


class Server(ScriptedServer):
    """Says yes."""

    def respond(self, request: Received) -> Answer:
        return Answer(body=b"{}")


def test_time_is_counted_from_when_a_request_was_due() -> None:
    tally = Tally()
    held = []
    with Server() as server:
        server.script += [
            Answer(429, b'{"code": "rate_limited"}', {"Retry-After": "0"}),
            Answer(503, b'{"code": "unavailable"}', {"Retry-After": "0"}),
            Answer(how="reset"),
        ]
        asking = Asking(Caller(f"http://{server.address}", None), tally, 60, held.append)
        due = time.monotonic() - 100
        steps = asking.ask("poll", Request("GET", "/"), due)
        with pytest.raises(StopIteration) as end:
            while True:
                time.sleep(max(0.0, next(steps) - time.monotonic()))
        assert end.value.value.status == 200
    figures = tally.figures()
    assert figures.latencies["poll"].count == 1
    assert figures.latencies["poll"].longest_seconds >= 100
    assert figures.errors == {"429 rate_limited": 1, "503 unavailable": 1, "no answer": 1}
    assert figures.requests == 4
    assert len(held) == 1, "the 429 holds back the load"


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_ends_the_load(status: int) -> None:
    with Server() as server:
        server.script.append(Answer(status, b'{"detail": "no"}'))
        asking = Asking(Caller(f"http://{server.address}", None), Tally(), 60, lambda _: None)

        def journey(start: Start) -> Steps[None]:
            yield from asking.ask("poll", Request("GET", "/"), start.due)

        pool = Pool(pace(), journey, lambda _: None, threads=2)
        pool.start()
        assert pool.join(30)
        assert isinstance(pool.failure, AuthenticationFailed)
        assert pool.comes_no_more


def test_who_waits_for_its_time_holds_no_thread() -> None:
    left = []

    def journey(start: Start) -> Steps[None]:
        yield time.monotonic() + (0.2 if start.number == 1 else 0)
        left.append(start.number)

    pool = Pool(pace(jobs=5), journey, lambda _: None, threads=1)
    pool.start()
    assert pool.join(30)
    assert pool.failure is None
    assert left[-1] == 1
    assert sorted(left) == list(range(1, len(left) + 1))
