"""Waiting for jobs: for one by a held answer of the service, for many by looking at all at once."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from jobresults.cli.outcomes import Row, outcome_of, unknown
from jobresults.cli.progress import Show, progress_shown

if TYPE_CHECKING:
    from jobresults.client import Client, JobHandle

_LOOK_AT = 50  # a look's URL must fit in what proxies take
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 1.0
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

    def __init__(self, client: Client, job_ids: Sequence[str]) -> None:
        self._client = client
        self.left: dict[str, Row] = {job_id: {"job_id": job_id} for job_id in job_ids}

    def outcomes(self, timeout_seconds: float | None, show: Show) -> Iterator[Row]:
        """How each job ended, as they end, until all have or the time is up.

        Raises:
            ClientError
        """
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        pause = _FIRST_PAUSE_SECONDS
        while True:
            job_ids = list(self.left)
            for start in range(0, len(job_ids), _LOOK_AT):
                yield from self._look(job_ids[start : start + _LOOK_AT], show)
            spare = pause if deadline is None else min(pause, deadline - time.monotonic())
            if not self.left or spare <= 0:
                return
            time.sleep(spare)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def _look(self, job_ids: Sequence[str], show: Show) -> Iterator[Row]:
        found = {job["job_id"]: job for job in self._client.jobs(id=list(job_ids))}
        for job_id in job_ids:
            job = found.get(job_id, {**_UNKNOWN, "job_id": job_id})
            show(job)
            self.left[job_id] = outcome_of(job)
            if job["done"]:
                # Lists leave results out.
                ended = self._client.get_job(job_id) if job_id in found else None
                yield self._end(job_id, unknown(job_id) if ended is None else outcome_of(ended))

    def _end(self, job_id: str, outcome: Row) -> Row:
        del self.left[job_id]
        return outcome


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
