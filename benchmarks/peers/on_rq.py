"""RQ: JSON instead of pickle and a reused job id would win nothing; results come by its stream."""

import functools
import os
import time

from redis import Redis
from rq import Queue
from rq.job import Job


def clock():
    return time.time()


@functools.cache
def queue():
    return Queue(connection=Redis.from_url(os.environ["BENCH_REDIS_URL"]))


def enqueue(count):
    if count == 1:
        return [queue().enqueue(clock)]
    # What RQ's documents recommend for many jobs: one pipeline.
    prepared = [Queue.prepare_data(clock) for _ in range(count)]
    with queue().connection.pipeline() as pipeline:
        jobs = queue().enqueue_many(prepared, pipeline=pipeline)
        pipeline.execute()
    return jobs


def result(job):
    assert isinstance(job, Job)
    return job.return_value(refresh=True)


def wait(job):
    return job.latest_result(timeout=10).return_value
