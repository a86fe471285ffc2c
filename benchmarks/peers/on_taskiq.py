"""taskiq-redis: the list broker, its fastest, with uvloop and orjson; results in Redis."""

import functools
import os
import time

from event_loop import in_batches, run
from taskiq.serializers import ORJSONSerializer
from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend

broker = (
    ListQueueBroker(os.environ["BENCH_REDIS_URL"])
    .with_result_backend(
        RedisAsyncResultBackend(
            os.environ["BENCH_REDIS_URL"], serializer=ORJSONSerializer(), result_ex_time=3600
        )
    )
    .with_serializer(ORJSONSerializer())
)


@broker.task(task_name="clock")
async def clock() -> float:
    return time.time()


@functools.cache
def started():
    run(broker.startup())
    return clock


def enqueue(count):
    return in_batches(started().kiq, count)


def result(task):
    async def read():
        if not await task.is_ready():
            return None
        return (await task.get_result()).return_value

    return run(read())


def wait(task):
    return run(task.wait_result(check_interval=0.001, timeout=10)).return_value
