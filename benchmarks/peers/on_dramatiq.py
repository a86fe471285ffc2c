"""Dramatiq: threads as by default (8 a process), the recommended Redis results backend."""

import os
import time

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import ResultMissing, Results
from dramatiq.results.backends import RedisBackend

broker = RedisBroker(url=os.environ["BENCH_REDIS_URL"])
broker.add_middleware(Results(backend=RedisBackend(url=os.environ["BENCH_REDIS_URL"])))
dramatiq.set_broker(broker)


@dramatiq.actor(store_results=True)
def clock():
    return time.time()


def enqueue(count):
    return [clock.send() for _ in range(count)]


def result(message):
    try:
        return message.get_result(block=False)
    except ResultMissing:
        return None


def wait(message):
    return message.get_result(block=True, timeout=10_000)
