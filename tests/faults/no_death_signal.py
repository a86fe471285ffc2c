"""A system without Linux' death signal: imported by a worker as if it were a module of tasks."""

from __future__ import annotations

from jobresults import task
from jobresults.worker import executor

executor._PR_SET_PDEATHSIG = 0  # an option that prctl does not know


@task(name="nothing_dies_with_its_parent")
def nothing_dies_with_its_parent() -> None:
    """Only there so that the module counts as one."""
