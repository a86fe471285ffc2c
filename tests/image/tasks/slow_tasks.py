"""A task as users add one: a module on the path of the image's Python."""

import time

from jobresults import task


@task(name="slow", timeout_seconds=60)
def slow(seconds: float) -> str:
    """Takes its time."""
    time.sleep(seconds)
    return "done"
