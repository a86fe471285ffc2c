"""What load `jobresults populate` is asked for: its options, and what is made of them."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import reduce
from typing import TYPE_CHECKING, Any

import click

from jobresults.cli.completion import task_names
from jobresults.cli.parameters import Data

if TYPE_CHECKING:
    from jobresults.populate.run import Options

_UNITS = {"s": 1.0, "m": 60.0, "h": 3_600.0}


class Duration(click.ParamType[float, float]):
    """Seconds, or with a unit: 30, 30s, 5m, 2h."""

    name = "SECONDS|5m|2h"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        text = str(value)
        unit = _UNITS.get(text[-1:])
        try:
            seconds = float(text if unit is None else text[:-1]) * (unit or 1.0)
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds < float("inf"):
            self.fail(f"{value!r} is no duration like 30, 30s, 5m or 2h", param, ctx)
        return seconds


class Share(click.ParamType[tuple[str, int], tuple[str, int]]):
    """How often a kind of caller comes, as `kind=weight`."""

    name = "KIND=WEIGHT"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        from jobresults.populate.pace import MIX

        kind, _, weight = value.partition("=")
        if kind not in MIX or not (weight.isascii() and weight.isdecimal()):
            self.fail(f"{value!r} is not KIND=WEIGHT, of {', '.join(MIX)}", param, ctx)
        return kind, int(weight)


_LOAD = (
    click.option(
        "--rate",
        type=click.FloatRange(min=0, min_open=True),
        help="Jobs a second, handed in on time however slow the answers are.  [default: as fast as "
        "the service allows]",
    ),
    click.option(
        "--duration", type=Duration(), help="Hand in no more after that.  [default: Ctrl-C]"
    ),
    click.option("--jobs", type=click.IntRange(1), help="Hand in so many.  [default: no end]"),
    click.option(
        "--concurrency",
        type=click.IntRange(1, 1_000),
        default=16,
        show_default=True,
        help="Requests at once.",
    ),
    click.option("--customers", type=click.IntRange(1), default=50, show_default=True),
    click.option(
        "--task",
        default="score",
        show_default=True,
        shell_complete=task_names,
        help="What to hand in.",
    ),
    click.option("--data", type=Data(), help="Parameters of another task than score."),
    click.option(
        "--mix",
        type=Share(),
        multiple=True,
        help="How often callers wait, poll, hold, send in bulk, send again and cancel; "
        "0 leaves a kind out.",
    ),
    click.option("--seed", type=click.IntRange(0), help="Repeat the load of an earlier run."),
    click.option(
        "--drain",
        type=Duration(),
        default=60,
        show_default=True,
        help="What accepted jobs have to end once the load is over.",
    ),
)


def load_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say what load there is to be; `options_of` takes them."""
    return reduce(lambda decorated, option: option(decorated), reversed(_LOAD), command)


def options_of(
    *,
    rate: float | None,
    duration: float | None,
    jobs: int | None,
    concurrency: int,
    customers: int,
    task: str,
    data: Any,
    mix: tuple[tuple[str, int], ...],
    seed: int | None,
    drain: float,
) -> Options:
    """What was asked for, or its default.

    Raises:
        click.UsageError: there is no such load.
    """
    from jobresults.populate.orders import SCORE
    from jobresults.populate.pace import MIX
    from jobresults.populate.run import Options

    if not isinstance(data, dict | None):
        raise click.UsageError("--data needs an object")
    weights = {**MIX, **dict(mix)}
    if not any(weights.values()):
        raise click.UsageError("--mix leaves out every kind")
    return Options(
        seed=secrets.randbelow(1_000_000) if seed is None else seed,
        rate=rate,
        jobs=jobs,
        duration_seconds=duration,
        concurrency=concurrency,
        customers=customers,
        task=task,
        params=data if data is not None or task == SCORE else {},
        mix=weights,
        drain_seconds=drain,
    )
