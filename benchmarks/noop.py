"""A task that does nothing."""

from jobresults import task


@task(name="noop")
def noop() -> None:
    """Do nothing."""
