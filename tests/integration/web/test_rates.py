"""Requests a second, over several processes that tell each other through Redis."""

from __future__ import annotations

import time

import pytest
from pydantic import SecretStr

from jobresults.accounts.principal import Principal, Scope
from jobresults.errors import RedisUnavailable, TooManyRequests
from jobresults.redis_store import Client, connect
from jobresults.settings import ClientLimits, LimitsSettings, RedisSettings
from jobresults.web.rates import Rates
from tests.services.redis_server import RedisServer

ACME = Principal("acme", frozenset(Scope))


class Clock:
    """Stands still until it is moved."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        monkeypatch.setattr("jobresults.web.rates.time", self)

    def monotonic(self) -> float:
        return self.now

    sleep = staticmethod(time.sleep)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def let_in(rates: Rates, most: int = 1_000, principal: Principal = ACME) -> int:
    """How many requests in a row are let in."""
    for count in range(most):
        try:
            rates.let_in(principal)
        except TooManyRequests:
            return count
    return most


def of(redis: Client, processes: int = 1, **limits: object) -> Rates:
    return Rates(redis, LimitsSettings.model_validate(limits), processes)


def test_without_a_limit_everything_is_let_in(redis: Client) -> None:
    assert let_in(of(redis)) == 1_000


def test_a_burst_is_one_seconds_worth_and_then_it_is_the_rate(redis: Client, clock: Clock) -> None:
    rates = of(redis, requests_per_second=10)
    assert let_in(rates) == 10
    clock.now += 0.5
    assert let_in(rates) == 5
    clock.now += 60
    assert let_in(rates) == 10


def test_a_refusal_names_the_limit_and_when_to_try_again(redis: Client, clock: Clock) -> None:
    rates = of(redis, requests_per_second=0.25)
    assert let_in(rates) == 1
    with pytest.raises(TooManyRequests) as refused:
        rates.let_in(ACME)
    assert refused.value.retry_after_seconds == 4
    assert refused.value.extra == {"limit": "requests_per_second", "maximum": 0.25}


def test_a_keys_own_rate_goes_before_its_clients(redis: Client, clock: Clock) -> None:
    own = {"acme": ClientLimits(requests_per_second=3)}
    rates = of(redis, requests_per_second=1, clients=own)
    assert let_in(rates) == 3
    assert let_in(rates, principal=Principal("acme", frozenset(), requests_per_second=5)) == 5
    assert let_in(rates, principal=Principal("other", frozenset())) == 1


def test_processes_grant_the_rate_together(redis: Client, clock: Clock) -> None:
    processes = [of(redis, 2, requests_per_second=10) for _ in range(2)]
    granted = 0
    for _ in range(40):  # 20 s
        for rates in processes:
            granted += let_in(rates)
        for rates in processes:
            rates.sync()
        clock.now += 0.5
    assert 195 <= granted <= 10 * 20 + 10 + 2 * 5 + 5


def test_one_process_may_grant_the_whole_rate(redis: Client, clock: Clock) -> None:
    """A client with one connection talks to one process only."""
    used, idle = (of(redis, 2, requests_per_second=10) for _ in range(2))
    granted = 0
    for _ in range(40):
        granted += let_in(used)
        used.sync()
        idle.sync()
        clock.now += 0.5
    assert granted == 10 * 20


def test_without_redis_each_process_grants_the_rate(
    redis_server: RedisServer, clock: Clock
) -> None:
    client = connect(RedisSettings(url=SecretStr("redis://127.0.0.1:1")))
    rates = of(client, requests_per_second=10)
    assert let_in(rates) == 10
    with pytest.raises(RedisUnavailable):
        rates.sync()
    clock.now += 1
    assert let_in(rates) == 10


def test_a_flushed_redis_costs_nobody_anything(redis: Client, clock: Clock) -> None:
    rates = of(redis, requests_per_second=10)
    let_in(rates)
    rates.sync()
    redis.flushall()
    rates.sync()
    assert let_in(rates) == 0
    clock.now += 1
    assert let_in(rates) == 10


def test_who_is_silent_is_forgotten(redis: Client, clock: Clock) -> None:
    rates = of(redis, requests_per_second=10)
    let_in(rates)
    rates.sync()
    clock.now += 61
    rates.sync()
    assert rates._buckets == {}
