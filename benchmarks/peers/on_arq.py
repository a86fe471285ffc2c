"""arq: its poll of twice a second and ten jobs at a time are meant for long jobs; raised for short
ones, results not logged.
"""

import functools
import os
import time

from arq import create_pool
from arq.connections import RedisSettings
from arq.jobs import ResultNotFound
from event_loop import in_batches, run


async def clock(ctx):
    return time.time()


class WorkerSettings:
    functions = [clock]  # noqa: RUF012 - as arq wants it
    redis_settings = RedisSettings.from_dsn(os.environ["BENCH_REDIS_URL"])
    max_jobs = 100
    poll_delay = 0.002
    log_results = False


@functools.cache
def pool():
    return run(create_pool(WorkerSettings.redis_settings))


def enqueue(count):
    return in_batches(functools.partial(pool().enqueue_job, "clock"), count)


def result(job):
    info = run(job.result_info())
    return None if info is None else info.result


def wait(job):
    try:
        return run(job.result(timeout=10, poll_delay=0.001))
    except ResultNotFound:
        return None
