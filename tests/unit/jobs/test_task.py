"""What goes into a task and what comes out of it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, field_validator

from jobresults.errors import InvalidRequest
from jobresults.jobs.catalog import ResultError, Task, TaskOptions


class Item(BaseModel):
    """One of an order."""

    name: str
    count: Annotated[int, Field(ge=0)] = 1

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name == "unicorn":
            raise ValueError("there are no unicorns")
        return name


@dataclass
class Sum:
    """Of an order."""

    count: int


def order(items: list[Item], express: bool = False) -> Sum:
    """Add up."""
    assert all(isinstance(item, Item) for item in items)
    return Sum(sum(item.count for item in items) + express)


def registered(function: Any) -> Task:
    return Task(function, TaskOptions(function.__name__, "default", None, 3, None, "executor"))


def returning(annotation: Any) -> Task:
    """A task declared to return this."""

    def a() -> None: ...

    a.__annotations__["return"] = annotation
    return registered(a)


def problems(params: str) -> list[tuple[str, str]]:
    with pytest.raises(InvalidRequest) as caught:
        registered(order).validate(params.encode())
    return [(problem["path"], problem["message"]) for problem in caught.value.extra["errors"]]


def test_parameters_arrive_as_what_they_are_annotated_with() -> None:
    assert registered(order).call(b'{"items": [{"name": "a", "count": 2}, {"name": "b"}]}') == Sum(
        3
    )


def test_parameters_are_described_as_json_schema() -> None:
    schema = registered(order).params_schema
    assert schema["required"] == ["items"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["express"] == {
        "type": "boolean",
        "default": False,
        "title": "Express",
    }
    assert schema["$defs"]["Item"]["properties"]["count"]["minimum"] == 0


def test_results_are_described_as_json_schema() -> None:
    schema = registered(order).result_schema
    assert schema["$ref"] == "#/$defs/Sum"
    assert schema["$defs"]["Sum"]["properties"]["count"]["type"] == "integer"


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ("{}", ["params.items"]),
        ("[]", ["params"]),
        ('{"items": [{"name": 1}, {"count": -1}]}',
         ["params.items[0].name", "params.items[1].name", "params.items[1].count"]),
        ('{"items": [], "expres": true}', ["params.expres"]),
        ('{"items": [{"name": "unicorn"}]}', ["params.items[0].name"]),
        ("{", ["params"]),
        ("", ["params"]),
    ],
)  # fmt: skip
def test_every_problem_is_named_by_its_path(params: str, expected: list[str]) -> None:
    assert [path for path, _ in problems(params)] == expected


def test_a_problem_is_told_in_words() -> None:
    assert problems('{"items": [{"name": "unicorn"}]}') == [
        ("params.items[0].name", "Value error, there are no unicorns")
    ]


def test_the_first_problem_is_the_headline() -> None:
    with pytest.raises(InvalidRequest) as caught:
        registered(order).validate(b'{"items": [{}], "x": 1}')
    assert caught.value.detail == (
        "params of task 'order' are invalid: params.items[0].name: Field required (and 1 more)"
    )


def test_a_task_without_parameters_takes_an_empty_object() -> None:
    assert returning(None).call(b"{}") is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)  # fmt: skip


anything = returning(Any)


@settings(deadline=None)
@given(json_values)
def test_whatever_json_can_say_comes_back_as_it_was(value: Any) -> None:
    assert json.loads(anything.encode_result(value)) == value


@pytest.mark.parametrize("value", [None, 0, False, "", [], {}, 0.0])
def test_a_falsy_result_is_a_result(value: Any) -> None:
    assert json.loads(returning(Any).encode_result(value)) == value


@pytest.mark.parametrize(
    ("annotation", "value", "encoded"),
    [
        (Sum, Sum(3), b'{"count":3}'),
        (Item, Item(name="a"), b'{"name":"a","count":1}'),
        (list[Item], [Item(name="\u00e4")], '[{"name":"\u00e4","count":1}]'.encode()),
        (Item | None, None, b"null"),
        (dict[str, list[float]], {"a": [1.5]}, b'{"a":[1.5]}'),
        (Decimal, Decimal("1.10"), b'"1.10"'),
        (datetime, datetime(2024, 1, 2, tzinfo=UTC), b'"2024-01-02T00:00:00Z"'),
        (float, 1, b"1.0"),
        (Any, {1: (2, 3)}, b'{"1":[2,3]}'),
    ],
)
def test_a_result_is_encoded_as_declared(annotation: Any, value: Any, encoded: bytes) -> None:
    assert returning(annotation).encode_result(value) == encoded


circular: list[Any] = []
circular.append(circular)
deep: list[Any] = []
for _ in range(5_000):
    deep = [deep]


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (float, math.nan),
        (float, -math.inf),
        (Any, {"a": [math.inf]}),
        (dict[str, float], {"a": math.nan}),
        (Any, "\ud800"),
        (str, "\udfff"),
        (Any, {"\ud800": 1}),
        (Any, b"\xff"),
        (Any, object()),
        (Any, ValueError("returned instead of raised")),
        pytest.param(Any, 10**5_000, id="more digits than Python writes"),
        (Any, circular),
        (Any, deep),
        (int, "7"),
        (int, None),
        (int, 1.5),
        (str, b"text"),
        (list[int], [1, None]),
        (None, 0),
        (Item, {"name": 1}),
        (Item, Item.model_construct(name=1)),
        (list[Item], Item(name="a")),
    ],
)
def test_a_result_that_is_not_what_was_declared_is_refused(annotation: Any, value: Any) -> None:
    with pytest.raises(ResultError, match=f"task 'a' returned {type(value).__name__}: "):
        returning(annotation).encode_result(value)


def test_a_refused_result_names_the_place() -> None:
    with pytest.raises(ResultError) as caught:
        returning(dict[str, list[int]]).encode_result({"a": [1, "x"]})
    assert str(caught.value) == (
        "task 'a' returned dict: result.a[1]: Input should be a valid integer"
    )
