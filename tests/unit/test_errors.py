"""The tree of failures, and what each carries."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeVar

import pytest

from jobresults import errors
from jobresults.errors import (
    IdempotencyMismatch,
    InvalidRequest,
    JobResultsError,
    LedgerUnavailable,
    PermanentError,
    RedisUnavailable,
    RequestError,
    Unavailable,
)

Kind = TypeVar("Kind", bound=JobResultsError)


def below(kind: type[Kind]) -> Iterator[type[Kind]]:
    for child in kind.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from below(child)


REQUEST_ERRORS = sorted(below(RequestError), key=lambda kind: kind.__name__)


def test_the_drawn_tree_is_the_tree() -> None:
    drawn: dict[str, str] = {}
    path = ["JobResultsError"]
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"((?:│   |    )*)[├└]── (\w+)", line)
        if found:
            depth = len(found[1]) // 4 + 1
            path = [*path[:depth], found[2]]
            drawn[found[2]] = path[-2]
    assert drawn == {kind.__name__: kind.__bases__[0].__name__ for kind in below(JobResultsError)}


@pytest.mark.parametrize("kind", REQUEST_ERRORS)
def test_a_callers_error_has_a_status_a_code_and_a_title_of_its_own(
    kind: type[RequestError],
) -> None:
    assert 400 <= kind.status <= 499
    assert re.fullmatch(r"[a-z_]+", kind.code)
    assert kind.title
    assert [other for other in REQUEST_ERRORS if other.code == kind.code] == [kind]


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (Unavailable, "unavailable"),
        (LedgerUnavailable, "ledger_unavailable"),
        (RedisUnavailable, "redis_unavailable"),
    ],
)
def test_an_outage_is_no_fault_of_the_caller(kind: type[Unavailable], code: str) -> None:
    assert kind.code == code
    assert not issubclass(kind, RequestError)


def test_a_failure_is_one_sentence() -> None:
    failure = JobResultsError("the house is on fire")
    assert (str(failure), failure.detail) == ("the house is on fire", "the house is on fire")


def test_an_invalid_request_carries_its_problems() -> None:
    problems = [{"path": "a", "message": "b"}]
    assert InvalidRequest("wrong", problems).extra == {"errors": problems}
    assert InvalidRequest("wrong").extra == {}


def test_more_members_for_the_answer_are_carried_along() -> None:
    assert IdempotencyMismatch("wrong", job_id="1").extra == {"job_id": "1"}


def test_what_a_task_raises_is_not_a_failure_of_the_service() -> None:
    assert not issubclass(PermanentError, JobResultsError)
