"""`jobresults cancel` and `jobresults rerun`: changing jobs, one or all that a filter finds."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import click

from jobresults.cli.connection import connected, exit_code
from jobresults.cli.filters import Condition, Filter, query_of
from jobresults.cli.job_ids import JobIds, job_ids_argument
from jobresults.cli.listing import JOB_COLUMNS
from jobresults.cli.outcomes import Row, worst
from jobresults.cli.tables import Column, Output, output_option, print_rows
from jobresults.telemetry.control_characters import escape

if TYPE_CHECKING:
    from jobresults.client import Client, JobHandle

_Command = TypeVar("_Command", bound=Callable[..., Any])
_PAGE = 100
_COLUMNS = tuple(map(Column, ("job_id", "rerun_of", "outcome", "detail")))


@dataclass(frozen=True)
class _Change:
    """What to do to a job: `change` makes the row that tells of it, with its id as the `subject`.
    Filters find jobs in the states it is `for_states`; if they name none, in those it is
    `usually_for`.
    """

    verb: str
    subject: str
    change: Callable[[JobHandle], Row]
    for_states: frozenset[str]
    usually_for: tuple[str, ...]


@dataclass
class _Tally:
    """What became of the jobs so far."""

    outcomes: Counter[str] = field(default_factory=Counter)
    codes: set[int] = field(default_factory=set)

    def __str__(self) -> str:
        return ", ".join(f"{count} {outcome}" for outcome, count in self.outcomes.items())


def _choice(command: _Command) -> _Command:
    """Gives a command its jobs, by id or by filter, and what goes before a change of many."""
    command = output_option(command)
    command = click.option("--yes", is_flag=True, help="Do not ask before many are changed.")(
        command
    )
    command = click.option("--dry-run", is_flag=True, help="Only print which jobs it would be.")(
        command
    )
    command = click.option(
        "--filter",
        "conditions",
        type=Filter(),
        multiple=True,
        help="All jobs with this: state, task, customer, tag, q, since, until or id. Repeat for "
        "more; all must hold.",
    )(command)
    return job_ids_argument(required=False)(command)


@click.command()
@_choice
def cancel(**options: Any) -> None:
    """Cancel jobs: those that wait at once, those that run within seconds.

    A filter without state finds those that wait or run. Exit code 1 if one could not be canceled,
    6 if it is unknown.
    """
    _command(_CANCEL, **options)


@click.command()
@_choice
def rerun(**options: Any) -> None:
    """Run ended jobs again, as new jobs. Prints those: `… | jobresults wait -`.

    A filter without state finds those that failed. Exit code 1 if one could not be run again, 6 if
    it is unknown.
    """
    _command(_RERUN, **options)


def _command(
    change: _Change,
    *,
    job_ids: JobIds,
    conditions: Sequence[Condition],
    dry_run: bool,
    yes: bool,
    output: Output,
) -> None:
    if job_ids.are_given == bool(conditions):
        raise click.UsageError("give either job ids or --filter")
    query = _query(change, conditions) if conditions else {}
    with connected() as client:
        if dry_run:
            print_rows(_jobs(client, job_ids, query), JOB_COLUMNS, output)
            return
        ids = job_ids.ids
        if conditions:
            # All before the first is changed: one that runs again may be found again.
            ids = tuple(job["job_id"] for job in _jobs(client, job_ids, query))
            _confirm(change, len(ids), yes=yes)
        tally = _Tally()
        try:
            _print(_changed(client, change, ids, tally), output)
        finally:
            click.echo(str(tally) or "no jobs", err=True)
    sys.exit(worst(tally.codes))


def _query(change: _Change, conditions: Iterable[Condition]) -> dict[str, Any]:
    query = query_of(conditions)
    states = query.setdefault("state", list(change.usually_for))
    if wrong := sorted({*states} - change.for_states):
        raise click.UsageError(f"{change.verb} is not for jobs that are {' or '.join(wrong)}")
    return query


def _jobs(client: Client, job_ids: JobIds, query: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Those with the ids, or else those that the filter finds."""
    if query:
        yield from client.jobs(**query, limit=_PAGE)
    for job_id in job_ids.ids:
        yield client.get_job(job_id)


def _confirm(change: _Change, count: int, *, yes: bool) -> None:
    if yes or not count:
        return
    found = f"{count} job" if count == 1 else f"{count} jobs"
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError(f"{found} found: --yes to {change.verb}, --dry-run to see")
    if not click.confirm(f"{change.verb} {found}?", err=True):
        sys.exit(1)


def _changed(
    client: Client, change: _Change, job_ids: Iterable[str], tally: _Tally
) -> Iterator[Row]:
    from jobresults.client import Conflict, InvalidRequest, JobExpired, JobNotFound

    for job_id in job_ids:
        try:
            row = change.change(client.job(job_id))
        except (Conflict, InvalidRequest, JobExpired, JobNotFound) as error:
            told = {"outcome": "refused", "detail": str(error)}
            row = {"job_id": None, change.subject: job_id, **told}
            tally.codes.add(exit_code(error))
        tally.outcomes[row["outcome"]] += 1
        yield row


def _print(rows: Iterator[Row], output: Output) -> None:
    """Line by line, also for people: many take their time."""
    if output != "table":
        print_rows(rows, _COLUMNS, output)
        return
    for row in rows:
        click.echo(escape(_words(row)))


def _words(row: Row) -> str:
    if row["outcome"] == "refused":
        return f"{row.get('rerun_of') or row['job_id']} refused: {row['detail']}"
    if "rerun_of" in row:
        return f"{row['rerun_of']} runs again as {row['job_id']}"
    return f"{row['job_id']} {row['outcome']}"


def _canceled(handle: JobHandle) -> Row:
    job = handle.cancel()
    return {"job_id": handle.id, "outcome": "canceled" if job["done"] else "stopping"}


def _run_again(handle: JobHandle) -> Row:
    return {"job_id": handle.rerun().id, "rerun_of": handle.id, "outcome": "accepted"}


_CANCEL = _Change(
    verb="cancel",
    subject="job_id",
    change=_canceled,
    for_states=frozenset({"queued", "running"}),
    usually_for=("queued", "running"),
)
_RERUN = _Change(
    verb="rerun",
    subject="rerun_of",
    change=_run_again,
    for_states=frozenset({"succeeded", "failed", "canceled"}),
    usually_for=("failed",),
)
