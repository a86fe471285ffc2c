"""`jobresults populate`: load on a service, every answer checked.

Exit codes: 0 all answers right, 1 a wrong, lost or repeated one, or an error, 2 wrong usage, 3 a
job failed, 4 not authenticated or not allowed, 5 an accepted job has not ended in time, 7 service
out of reach, 130 Ctrl-C with nothing wrong so far.
"""

from __future__ import annotations

import json
import secrets
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from jobresults.cli.completion import task_names
from jobresults.cli.connection import chosen_service, failures_told
from jobresults.cli.parameters import Data
from jobresults.cli.populate_summary import print_summary
from jobresults.cli.tables import Output, output_option

if TYPE_CHECKING:
    from jobresults.populate.caller import Caller
    from jobresults.populate.run import Options, Outcome

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


@click.command()
@click.option(
    "--destination",
    envvar="DESTINATION",
    show_envvar=True,
    metavar="URL",
    help="The service.  [default: as for the other commands]",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    help="Jobs a second, handed in on time however slow the answers are.  [default: as fast as the "
    "service allows]",
)
@click.option("--duration", type=Duration(), help="Hand in no more after that.  [default: Ctrl-C]")
@click.option("--jobs", type=click.IntRange(1), help="Hand in so many.  [default: no end]")
@click.option(
    "--concurrency",
    type=click.IntRange(1, 1_000),
    default=16,
    show_default=True,
    help="Requests at once.",
)
@click.option("--customers", type=click.IntRange(1), default=50, show_default=True)
@click.option(
    "--task",
    default="score",
    show_default=True,
    shell_complete=task_names,
    help="What to hand in.",
)
@click.option("--data", type=Data(), help="Parameters of another task than score.")
@click.option(
    "--mix",
    type=Share(),
    multiple=True,
    help="How often callers wait, poll, hold, send in bulk, send again and cancel; "
    "0 leaves a kind out.",
)
@click.option("--seed", type=click.IntRange(0), help="Repeat the load of an earlier run.")
@click.option(
    "--wait-for",
    type=Duration(),
    default=60,
    show_default=True,
    help="How long to wait until the service is ready.",
)
@click.option(
    "--drain",
    type=Duration(),
    default=60,
    show_default=True,
    help="What accepted jobs have to end once the load is over.",
)
@click.option("--report-json", type=click.Path(dir_okay=False, writable=True, path_type=Path))
@click.option("--report-html", type=click.Path(dir_okay=False, writable=True, path_type=Path))
@output_option
def populate(
    destination: str | None,
    wait_for: float,
    report_json: Path | None,
    report_html: Path | None,
    output: Output,
    **load: Any,
) -> None:
    """Load a service with customers' jobs and check every answer.

    Callers hand in score jobs and come back for the results in all the ways there are. Each result
    is held against what its messages amount to, each later answer against the earlier ones, and at
    the end every accepted job is asked for.
    """
    from jobresults.cli.populate_progress import shown
    from jobresults.populate.page import page_of
    from jobresults.populate.report import report_of
    from jobresults.populate.run import run

    options = _options(**load)
    with failures_told(), _terminated_as_interrupted():
        caller, version = _ready(destination, wait_for, options.task)
        with shown() as show:
            outcome = run(caller, version, options, show)
    _raise_bugs(outcome)
    report = report_of(outcome)
    if report_json is not None:
        report_json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if report_html is not None:
        report_html.write_text(page_of(report), encoding="utf-8")
    print_summary(report, output)
    sys.exit(report["exit_code"])


def _options(
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


def _ready(destination: str | None, wait_for: float, task: str) -> tuple[Caller, str]:
    """Who calls the service, once it can be called, and its version.

    Raises:
        ClientError
    """
    from jobresults.client import AuthenticationFailed
    from jobresults.populate.caller import Caller
    from jobresults.populate.readiness import require_task, wait_until_ready

    service = chosen_service(destination)
    caller = Caller(service.url, service.token)
    version = wait_until_ready(caller, wait_for, lambda why: click.echo(why, err=True))
    try:
        require_task(caller, task)
    except AuthenticationFailed as error:
        if error.status == 401:
            error.add_note(service.advice)
        raise
    return caller, version


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM, as containers are stopped, ends a run as Ctrl-C does: with its reports."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _raise_bugs(outcome: Outcome) -> None:
    """What ended the run and is no answer of the service's is a bug here, to be seen whole."""
    from jobresults.client import ClientError

    if outcome.failure is not None and not isinstance(outcome.failure, ClientError):
        raise outcome.failure
