"""Waiting for jobs, and coming back for them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from jobresults.cli.outcomes import Row, has_ended, outcome_of, unknown
from jobresults.cli.progress import Show, progress_shown

if TYPE_CHECKING:
    from jobresults.client import Client, JobHandle

_MOST_IN_HINT = 20
_UNKNOWN = {"state": "unknown", "done": True, "progress": None, "waiting_on": None}


def result_of(handle: JobHandle, timeout_seconds: float | None) -> Any:
    """The result of a job, once it has ended; its progress is shown.

    Raises:
        ClientError: as `JobHandle.result`.
    """
    with return_told([handle.id]), progress_shown() as show:
        return handle.result(timeout_seconds, on_progress=show)


class Waiting:
    """Jobs that are waited for; `left` are those not known to have ended."""

    def __init__(self, client: Client, job_ids: Iterable[str]) -> None:
        self._client = client
        self.left = {job_id: client.job(job_id) for job_id in job_ids}

    def outcomes(self, timeout_seconds: float | None, show: Show) -> Iterator[Row]:
        """How each job ended, as they end, until all have or the time is up.

        Raises:
            ClientError
        """
        from jobresults.client import JobTimeout

        handles = list(self.left.values())
        try:
            for handle in self._client.as_completed(handles, timeout_seconds, on_progress=show):
                outcome = _outcome(handle, show)
                del self.left[handle.id]
                yield outcome
        except JobTimeout:
            return


def _outcome(handle: JobHandle, show: Show) -> Row:
    from jobresults.client import JobNotFound

    try:
        outcome = outcome_of(handle.body)
        # It was seen in a list, which leaves results out.
        return outcome if has_ended(outcome) else outcome_of(handle.refresh())
    except JobNotFound:
        show({**_UNKNOWN, "job_id": handle.id})
        return unknown(handle.id)


@contextmanager
def return_told(job_ids: Collection[str]) -> Iterator[None]:
    """After Ctrl-C, says how to come back for those that are then among the jobs."""
    try:
        yield
    except KeyboardInterrupt:
        goes_on = "job continues" if len(job_ids) == 1 else f"{len(job_ids)} jobs continue"
        named = " ".join(job_ids) if len(job_ids) <= _MOST_IN_HINT else "- with their ids"
        click.echo(f"{goes_on}: jobresults wait {named}", err=True)
        raise
