"""`jobresults populate`: load on a service, every answer checked.

Exit codes: 0 all answers right, 1 a wrong, lost or repeated one, or an error, 2 wrong usage, 3 a
job failed, 4 not authenticated or not allowed, 5 an accepted job has not ended in time, 7 service
out of reach, 130 Ctrl-C with nothing wrong so far.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from jobresults.cli.connection import chosen_service, failures_told
from jobresults.cli.populate_options import Duration, load_options, options_of
from jobresults.cli.populate_progress import shown
from jobresults.cli.populate_summary import print_summary
from jobresults.cli.tables import Output, output_option

if TYPE_CHECKING:
    from jobresults.populate.caller import Caller
    from jobresults.populate.run import Outcome

_MOST_INTERRUPTS = 3  # as many as there is to end: the load, the wait, the audit


@click.command()
@click.option(
    "--destination",
    envvar="DESTINATION",
    show_envvar=True,
    metavar="URL",
    help="The service.  [default: as for the other commands]",
)
@load_options
@click.option(
    "--wait-for",
    type=Duration(),
    default=60,
    show_default=True,
    help="How long to wait until the service is ready.",
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
    from jobresults.populate.page import page_of
    from jobresults.populate.report import report_of
    from jobresults.populate.run import run

    options = options_of(**load)
    with failures_told():
        caller, version = _ready(destination, wait_for, options.task)
        with interrupts_counted() as interrupts, shown() as show:
            outcome = run(caller, version, options, show, interrupts)
    _raise_bugs(outcome)
    report = report_of(outcome)
    if report_json is not None:
        report_json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if report_html is not None:
        report_html.write_text(page_of(report), encoding="utf-8")
    print_summary(report, output)
    sys.exit(report["exit_code"])


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
def interrupts_counted() -> Iterator[Callable[[], int]]:
    """How often Ctrl-C was pressed, or SIGTERM sent as to containers that are stopped.

    Counted, because a KeyboardInterrupt may be raised between taking a lock and what gives it back
    (https://github.com/python/cpython/issues/74174): the callers' threads would wait for it. What
    comes after the third ends the program as ever.
    """
    count = 0

    def note(*_: object) -> None:
        nonlocal count
        count += 1
        if count == _MOST_INTERRUPTS:
            restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    before = {each: signal.signal(each, note) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: count
    finally:
        restore()


def _raise_bugs(outcome: Outcome) -> None:
    """What ended the run and is no answer of the service's is a bug here, to be seen whole."""
    from jobresults.client import ClientError

    if outcome.failure is not None and not isinstance(outcome.failure, ClientError):
        raise outcome.failure
