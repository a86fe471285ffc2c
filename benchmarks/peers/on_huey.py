"""Huey: Redis with blocking pops, its default; process workers, no periodic tasks."""

import os
import time

from huey import RedisHuey

huey = RedisHuey("bench", url=os.environ["BENCH_REDIS_URL"])


@huey.task()
def clock():
    return time.time()


def enqueue(count):
    return [clock() for _ in range(count)]


def result(handle):
    return handle.get(preserve=True)


def wait(handle):
    return handle.get(blocking=True, timeout=10, backoff=1.0, max_delay=0.001)
