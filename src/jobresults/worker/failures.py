"""Which failed attempts become events for Sentry: those that are their job's last."""

from __future__ import annotations

from jobresults.jobs import spans
from jobresults.jobs.outcome import CANCELED, Ending, is_tried_again
from jobresults.jobs.running import Claimed
from jobresults.telemetry import sentry, tracing
from jobresults.telemetry.logging_context import bound
from jobresults.telemetry.sentry import Draft


def event_of(job: Claimed, ending: Ending, made: Draft | None) -> Draft | None:
    """The event of an attempt that has ended: the one its executor has made of the exception, or,
    if that was killed, one of what its supervisor saw. None if the job goes on, or was canceled.
    """
    error = ending.error
    if error is None or error.code == CANCELED.code or is_tried_again(job, error):
        return None
    if made is not None:
        return made
    with bound(**job.about), tracing.within(spans.run_of(job)):
        return sentry.make(f"{job.task}: {error.detail}", fingerprint=(error.code, job.task))
