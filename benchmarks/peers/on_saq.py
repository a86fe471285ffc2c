"""saq: more concurrent jobs than its default of ten; it pops with a blocking read."""

import functools
import os
import time

from event_loop import in_batches, run
from saq import Queue
from saq.job import Status


async def clock(ctx):
    return time.time()


queue = Queue.from_url(os.environ["BENCH_REDIS_URL"])
settings = {"queue": queue, "functions": [clock], "concurrency": 100}


@functools.cache
def connected():
    run(queue.connect())
    return queue


def enqueue(count):
    # Takes the lock of saq's clean-up: at a worker's start it would abort jobs that were popped a
    # moment ago, as stuck ones.
    run(connected().sweep(lock=300))
    return in_batches(functools.partial(connected().enqueue, "clock"), count)


def result(job):
    run(job.refresh())
    return job.result if job.status == Status.COMPLETE else None


def wait(job):
    # Not `refresh(until_complete=…)`: it misses a job that ends before it has subscribed.
    while result(job) is None:
        time.sleep(0.001)
    return job.result
