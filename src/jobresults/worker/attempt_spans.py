"""The spans of attempts: their supervisor makes them, since an executor sends nothing."""

from __future__ import annotations

import time

from jobresults.jobs import spans
from jobresults.jobs.outcome import Recorded
from jobresults.telemetry import tracing
from jobresults.worker.attempts import Attempt


def record(attempt: Attempt, recorded: Recorded | None) -> None:
    """The wait and the run of an attempt whose end is in the ledger. None: it was refused there.
    What was given back before it began has no span.
    """
    if not tracing.is_on() or attempt.ran_seconds is None:
        return
    end_ns = time.time_ns() - round((time.monotonic() - attempt.ended_at) * 1e9)
    error = attempt.ending.error if attempt.ending is not None else None
    spans.record_run(
        attempt.job,
        start_ns=end_ns - round(attempt.ran_seconds * 1e9),
        end_ns=end_ns,
        state="refused" if recorded is None else recorded.state.value,
        error=None if error is None else error.code,
    )
