"""Which jobs are meant, by what the service can filter for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import click

from jobresults.cli.job_ids import JobId
from jobresults.cli.times import Since

STATES = ("queued", "running", "succeeded", "failed", "canceled")
_TYPES: dict[str, click.ParamType[Any, Any]] = {
    "id": JobId(),
    "state": click.Choice(STATES),
    "task": click.STRING,
    "customer": click.STRING,
    "tag": click.STRING,
    "q": click.STRING,
    "since": Since(),
    "until": Since(),
}
_REPEATABLE = frozenset({"id", "state"})
_NAMES_OF_SERVICE = {"since": "created_after", "until": "created_before"}


class Condition(NamedTuple):
    """What a job must have; several with one name are alternatives."""

    name: str
    value: Any


class Filter(click.ParamType[Any, Any]):
    """A condition as `name=value`."""

    name = "NAME=VALUE"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> Condition:
        """The condition, checked."""
        name, equals, text = value.partition("=")
        if name not in _TYPES or not equals:
            self.fail(f"{value!r} is not NAME=VALUE; names: {', '.join(_TYPES)}", param, ctx)
        return Condition(name, _TYPES[name].convert(text, param, ctx))


def query_of(conditions: Iterable[Condition]) -> dict[str, Any]:
    """The filters of `Client.jobs`.

    Raises:
        click.UsageError: two conditions that no job can meet.
    """
    query: dict[str, Any] = {}
    for name, value in conditions:
        wanted = _NAMES_OF_SERVICE.get(name, name)
        if name in _REPEATABLE:
            query.setdefault(wanted, []).append(value)
        elif wanted in query:
            raise click.UsageError(f"{name} is given twice")
        else:
            query[wanted] = value
    return query
