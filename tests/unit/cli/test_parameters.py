"""`-p name=value` becomes what the task's schema wants."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

import click
import pytest
from pydantic import BaseModel, Field

from jobresults.cli.parameters import Given, Parameter, typed
from jobresults.cli.schemas import described


class Color(StrEnum):
    """What `StrEnum` looks like in a schema."""

    RED = "red"
    BLUE = "blue"


class Item(BaseModel):
    """What a nested model looks like, and one that holds itself."""

    name: str
    items: list[Item] = []


class Params(BaseModel):
    """Parameters as tasks declare them."""

    text: str
    perhaps: str | None = None
    whole: int = Field(1, ge=0)
    number: float = 1
    flag: bool = False
    maybe: int | None = None
    either: int | str = 1
    anything: Any = None
    names: list[str] = []
    counts: dict[str, int] = {}
    item: Item | None = None
    color: Color = Color.RED
    size: Literal["s", "m"] | Literal[1] = "s"
    since: datetime | None = None


SCHEMA = Params.model_json_schema()
GOOD: list[tuple[str, Any]] = [
    ("text=007", "007"),
    ("text=null", "null"),
    ("text=", ""),
    ('text="quoted"=1', '"quoted"=1'),
    ('text:="quoted"', "quoted"),
    ("perhaps=null", "null"),
    ("perhaps:=null", None),
    ("whole=7", 7),
    ("whole=7.0", 7.0),
    ("number=7", 7),
    ("number=1e3", 1000.0),
    ("flag=true", True),
    ("maybe=null", None),
    ("either=7", 7),
    ("either=007", "007"),
    ('either="7"', "7"),
    ("anything=[1]", [1]),
    ("anything=some text", "some text"),
    ('names=["a"]', ["a"]),
    ('counts={"a": 1}', {"a": 1}),
    ('item={"name": "a"}', {"name": "a"}),
    ("color=red", "red"),
    ("size=m", "m"),
    ("size=1", 1),
    ("unheard_of=1", 1),
]
WRONG = [
    ("whole=x", "whole wants integer >= 0, not 'x'"),
    ("whole=1.5", "whole wants integer >= 0, not '1.5'"),
    ("whole=true", "whole wants integer >= 0, not 'true'"),
    ("number=NaN", "number wants number, not 'NaN'"),
    ("flag=yes", "flag wants boolean, not 'yes'"),
    ("names=a,b", "names wants list of string, not 'a,b'"),
    ("counts=[]", "counts wants object of integer, not '[]'"),
    ("maybe=x", "maybe wants integer or null, not 'x'"),
    ("item=x", "item wants Item or null, not 'x'"),
    ("text:=1", "text wants string, not '1'"),
    ("anything:=x", "anything wants JSON, not 'x'"),
]


def parsed(*words: str) -> dict[str, Any]:
    return typed([Parameter().convert(word, None, None) for word in words], SCHEMA)


def test_a_text_stays_and_all_else_is_json() -> None:
    for word, value in GOOD:
        (found,) = parsed(word).values()
        assert (found, type(found)) == (value, type(value)), word


def test_a_wrong_value_is_refused_with_its_name_and_what_is_wanted() -> None:
    for word, wanted in WRONG:
        with pytest.raises(click.BadParameter) as refusal:
            parsed(word)
        assert refusal.value.message == wanted


def test_a_parameter_is_given_once() -> None:
    with pytest.raises(click.UsageError, match="-p text is given twice"):
        parsed("text=a", "text=b")
    with pytest.raises(click.BadParameter, match="not name=value"):
        Parameter().convert("=1", None, None)
    assert Parameter().convert("a=b=c", None, None) == Given("a", "b=c", False)


def test_types_are_told_in_words() -> None:
    told = {name: described(field, SCHEMA) for name, field in SCHEMA["properties"].items()}
    assert told == {
        "text": "string",
        "perhaps": "string or null",
        "whole": "integer >= 0",
        "number": "number",
        "flag": "boolean",
        "maybe": "integer or null",
        "either": "integer or string",
        "anything": "any JSON",
        "names": "list of string",
        "counts": "object of integer",
        "item": "Item or null",
        "color": 'one of "red", "blue"',
        "size": 'one of "s", "m" or 1',
        "since": "date-time or null",
    }


def test_a_type_that_holds_itself_is_told_up_to_some_depth() -> None:
    schema = {
        "$ref": "#/$defs/Tree",
        "$defs": {"Tree": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}},
    }
    assert described(schema, schema).endswith("list of …")
