"""Connections to Redis, and the bell."""

from __future__ import annotations

import pytest
from pydantic import SecretStr

from jobresults.errors import ConfigurationError, RedisUnavailable
from jobresults.redis_store import BELL_CHANNEL, Client, connect, ping, ring_bell
from jobresults.settings import RedisSettings


def settings(url: str) -> RedisSettings:
    return RedisSettings(url=SecretStr(url))


def test_a_missing_url_is_refused_with_the_remedy() -> None:
    with pytest.raises(ConfigurationError, match="set JOBRESULTS_REDIS__URL"):
        connect(RedisSettings())


def test_a_url_that_is_none_is_refused_and_not_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        connect(settings("http://:secret@h"))
    assert caught.value.detail.startswith("redis.url must look like redis://host:6379/0")
    assert "secret" not in caught.value.detail


def test_a_redis_that_answers_is_there(redis: Client) -> None:
    ping(redis)


@pytest.mark.parametrize("url", ["unix:///nonexistent/redis.sock", "redis://127.0.0.1:1/0"])
def test_a_redis_that_does_not_answer_is_away(url: str) -> None:
    with connect(settings(url)) as away:
        with pytest.raises(RedisUnavailable, match="redis: ConnectionError"):
            ping(away)
        with pytest.raises(RedisUnavailable):
            ring_bell(away, "1")


def test_the_bell_tells_which_job_has_ended(redis: Client) -> None:
    with redis.pubsub() as listener:  # type: ignore[no-untyped-call]
        listener.subscribe(BELL_CHANNEL)
        listener.get_message(timeout=5)
        ring_bell(redis, "the-job")
        message = listener.get_message(timeout=5)
        assert message is not None
        assert message["data"] == b"the-job"
