"""Which errors are the same problem."""

from __future__ import annotations

import pytest

from jobresults.alerts.fingerprint import cause_of, exception_key, message_key, of_key
from jobresults.errors import LedgerUnavailable

HERE = frozenset({"tests", __name__.partition(".")[0]})


def lookup(table: dict[str, int], key: str) -> int:
    return table[key]


def guarded_lookup(key: str) -> int:
    try:
        return lookup({}, key)
    except KeyError as error:
        raise ValueError(f"no {key}") from error


def raised(call: object, *arguments: object) -> str:
    try:
        call(*arguments)  # type: ignore[operator]
    except Exception as error:  # noqa: BLE001 - whatever the test raises
        return exception_key(error, error.__traceback__, HERE)
    raise AssertionError("nothing was raised")


def test_a_bug_has_one_key_whatever_its_arguments() -> None:
    assert raised(guarded_lookup, "a") == raised(guarded_lookup, "b")
    assert raised(guarded_lookup, "a") == f"ValueError>KeyError|{__name__}:guarded_lookup"
    assert raised(lookup, {}, "a") != raised(guarded_lookup, "a")


def test_the_place_is_the_innermost_of_our_own_functions() -> None:
    def parse() -> None:
        __import__("json").loads("{")

    key = raised(parse)
    assert key.startswith("json.decoder.JSONDecodeError|")
    assert ".<locals>.parse" in key


def test_without_a_function_of_ours_it_is_the_innermost() -> None:
    try:
        __import__("json").loads("{")
    except ValueError as error:
        key = exception_key(error, error.__traceback__, frozenset({"elsewhere"}))
    assert "json.decoder:JSONDecoder" in key


def test_an_endless_chain_ends() -> None:
    one, other = ValueError("a"), KeyError("b")
    one.__context__, other.__context__ = other, one
    assert exception_key(one, None, HERE).count(">") == 4


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("job 17 failed", "job 4 failed"),
        ("job 0196f5a1-1c2d-7000-8000-00000000002a", "job 0196f5a1-ffff-7000-8abc-0123456789ab"),
        ("object at 0x7f32a0", "object at 0x1"),
        ("token 12ab34cd", "token deadbeef01"),
        ("WORKER TIMEOUT (pid:%s)", "WORKER TIMEOUT (pid:%s)"),
    ],
)
def test_messages_that_differ_in_numbers_are_one(one: str, other: str) -> None:
    assert message_key("l", one) == message_key("l", other)


def test_messages_of_other_words_or_loggers_are_not() -> None:
    assert message_key("l", "added") != message_key("l", "faced")
    assert message_key("l", "x") != message_key("m", "x")


def test_services_and_environments_are_told_apart() -> None:
    keys = {of_key(*names, "k") for names in (("a", "p"), ("b", "p"), ("a", "d"))}
    assert len(keys) == 3
    assert all(len(key) == 16 for key in keys)
    assert of_key("a", "p", "\ud800") != of_key("a", "p", "")


def test_causes_are_seen_through_the_chain() -> None:
    import redis

    wrapped = RuntimeError("no luck")
    wrapped.__cause__ = redis.exceptions.BusyLoadingError("loading")
    assert cause_of(wrapped) == "redis"
    assert cause_of(LedgerUnavailable("gone")) == "database"
    assert cause_of(ConnectionError("elsewhere")) is None
