"""How often a login may fail, with Redis and without."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from jobresults.accounts import login_limits
from jobresults.accounts.login_limits import LoginLimits
from jobresults.errors import TooManyRequests
from jobresults.redis_store import Client, connect
from jobresults.settings import RedisSettings
from tests.unit.accounts.conftest import accounts

SETTINGS = accounts(login_attempts=3, login_attempts_per_address=5, login_window_seconds=60)

OF_A_NAME = accounts(login_attempts=3, login_attempts_per_name=4, login_window_seconds=60)


@pytest.fixture(params=["with Redis", "without Redis"])
def redis(request: pytest.FixtureRequest) -> Iterator[Client]:
    url = "unix:///nowhere/redis.sock"
    if request.param == "with Redis":
        url = request.getfixturevalue("redis_url")
    with connect(RedisSettings(url=SecretStr(url))) as client:
        yield client


def refusal(limits: LoginLimits, address: str, name: str | None) -> TooManyRequests:
    with pytest.raises(TooManyRequests) as caught:
        limits.count(address, name)
    return caught.value


def test_a_name_has_so_many_attempts_from_an_address(redis: Client) -> None:
    limits = LoginLimits(redis, SETTINGS)
    for _ in range(3):
        limits.count("192.0.2.1", "ann")
    refused = refusal(limits, "192.0.2.1", "ANN")
    assert 50 < refused.retry_after_seconds <= 60
    assert "ann" not in refused.detail.lower()
    limits.count("192.0.2.2", "ann")
    limits.count("192.0.2.1", "bob")


def test_an_address_has_so_many_for_all_names(redis: Client) -> None:
    limits = LoginLimits(redis, SETTINGS)
    for name in ("a", "b", "c", None, None):
        limits.count("2001:db8::1", name)
    refusal(limits, "2001:db8::ffff", "d")
    limits.count("2001:db8:0:1::1", "d")


def test_a_name_has_so_many_from_all_addresses(redis: Client) -> None:
    limits = LoginLimits(redis, OF_A_NAME)
    for number in range(4):
        limits.count(f"192.0.2.{number}", "ann")
    refused = refusal(limits, "192.0.2.9", "Ann")
    assert 50 < refused.retry_after_seconds <= 60
    assert "ann" not in refused.detail.lower()
    limits.count("192.0.2.9", "bob")


def test_one_address_alone_does_not_use_up_what_a_name_has(redis: Client) -> None:
    """Red if what is refused counts, too: then anyone locks out everyone."""
    limits = LoginLimits(redis, OF_A_NAME)
    for _ in range(3):
        limits.count("192.0.2.1", "ann")
    for _ in range(20):
        refusal(limits, "192.0.2.1", "ann")
    limits.count("192.0.2.2", "ann")


def test_strangers_do_not_hold_up_who_logged_in_from_there_lately(redis: Client) -> None:
    limits = LoginLimits(redis, OF_A_NAME)
    assert limits.count("192.0.2.1", "ann") is None
    limits.give_back("192.0.2.1", "ann")
    for number in range(4):
        limits.count(f"198.51.100.{number}", "ann")
    stranger = refusal(limits, "198.51.100.9", "ann")
    for _ in range(3):
        held_against = limits.count("192.0.2.1", "ANN")
        assert held_against is not None
        assert held_against.detail.split(";")[0] == stranger.detail.split(";")[0]
    assert "from this address" in refusal(limits, "192.0.2.1", "ann").detail


def test_strangers_do_not_hold_up_who_holds_a_token(redis: Client) -> None:
    limits = LoginLimits(redis, OF_A_NAME)
    for number in range(4):
        limits.count(f"198.51.100.{number}", "ann")
    assert limits.count("192.0.2.1", "ann", holds_token=True) is None
    for number in range(3):
        limits.count(f"192.0.2.{number + 2}", "ann", holds_token=True)
    with pytest.raises(TooManyRequests):
        limits.count("192.0.2.9", "ann", holds_token=True)


def test_what_succeeds_does_not_count(redis: Client) -> None:
    limits = LoginLimits(redis, SETTINGS)
    for _ in range(20):
        limits.count("192.0.2.1", "ann")
        limits.give_back("192.0.2.1", "ann")


def test_after_the_window_all_begins_anew(redis: Client) -> None:
    limits = LoginLimits(redis, accounts(login_attempts=1, login_window_seconds=60))
    limits.count("192.0.2.1", "ann")
    refusal(limits, "192.0.2.1", "ann")
    for key in login_limits._keys("192.0.2.1", "ann"):  # as time would
        if key in limits._local:
            limits._local[key] = (9, 0.0)
        else:
            assert 0 < redis.ttl(key) <= 60
            redis.delete(key)
    limits.count("192.0.2.1", "ann")


@pytest.mark.parametrize("redis", ["with Redis"], indirect=True)
def test_processes_count_together(redis: Client) -> None:
    for limits in (LoginLimits(redis, SETTINGS) for _ in range(3)):
        limits.count("192.0.2.1", "ann")
    refusal(LoginLimits(redis, SETTINGS), "192.0.2.1", "ann")


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login_limits, "_MAX_LOCAL", 10)
    limits = LoginLimits(connect(RedisSettings(url=SecretStr("unix:///nowhere"))), SETTINGS)
    for number in range(100):
        limits.count(f"192.0.2.{number}", f"ann{number}")
        limits.give_back(f"192.0.2.{number}", f"ann{number}")
        assert len(limits._local) <= 10
