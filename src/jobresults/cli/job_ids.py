"""Job ids as arguments, or from standard input."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

import click

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_STDIN = "-"
_Command = TypeVar("_Command", bound=Callable[..., Any])


class JobIds(NamedTuple):
    """Jobs in the order given, each once; `is_single`: one and named by itself. Even if standard
    input held none, they `are_given`.
    """

    ids: tuple[str, ...]
    is_single: bool
    are_given: bool


def is_job_id(text: str) -> bool:
    """Whether a text has the form of a job's id, in either case."""
    return _ID.fullmatch(text.strip().lower()) is not None


class JobId(click.ParamType[Any, Any]):
    """The id of a job."""

    name = "JOB_ID"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """As the service writes it."""
        if not is_job_id(value):
            self.fail(f"{value!r} is no job id: 32 hex digits in groups of 8-4-4-4-12", param, ctx)
        return value.strip().lower()


def job_id_argument(command: _Command) -> _Command:
    """Gives a command one job, as its argument `job_id`."""
    return click.argument("job_id", type=JobId())(command)


def job_ids_argument(*, required: bool = True) -> Callable[[_Command], _Command]:
    """Gives a command jobs, as its argument `job_ids`; `-` stands for those on standard input."""
    metavar = "JOB_ID...|-" if required else "[JOB_ID...|-]"
    return click.argument(
        "job_ids", nargs=-1, required=required, metavar=metavar, callback=_job_ids
    )


def _job_ids(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> JobIds:
    kind = JobId()
    found: list[str] = []
    for text in texts:
        for line in _from_lines(sys.stdin) if text == _STDIN else [text]:
            found.append(kind.convert(line, param, ctx))
    is_single = len(texts) == 1 and texts[0] != _STDIN
    return JobIds(tuple(dict.fromkeys(found)), is_single, bool(texts))


def _from_lines(lines: Iterable[str]) -> Iterator[str]:
    """The ids in lines that hold nothing else, or jobs as other commands print them."""
    for line in lines:
        text = line.strip()
        if text.startswith("{"):
            text = _of_document(text)
        if text:
            yield text


def _of_document(text: str) -> str:
    """The id in a line of JSON; nothing if the line is about no job."""
    try:
        return str(json.loads(text).get("job_id") or "")
    except ValueError:
        return text
