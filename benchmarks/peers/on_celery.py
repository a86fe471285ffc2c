"""Celery, prefork. From its optimizing guide: a large prefetch multiplier for short tasks; no
gossip, mingle or events (see the command); results in Redis, kept as JSON.
"""

import os
import time

from celery import Celery

app = Celery("bench", broker=os.environ["BENCH_REDIS_URL"], backend=os.environ["BENCH_REDIS_URL"])
app.conf.update(
    worker_prefetch_multiplier=128,
    worker_send_task_events=False,
    worker_disable_rate_limits=True,
    task_send_sent_event=False,
    broker_connection_retry_on_startup=True,
)


@app.task(name="clock")
def clock():
    return time.time()


def enqueue(count):
    if count == 1:
        return [clock.delay()]
    with app.producer_pool.acquire(block=True) as producer:  # one connection for all
        # By id: the handles of `delay` would each subscribe to their result.
        return [app.AsyncResult(clock.apply_async(producer=producer).id) for _ in range(count)]


def result(handle):
    meta = app.backend.get(app.backend.get_key_for_task(handle.id))
    return None if meta is None else app.backend.decode_result(meta)["result"]


def wait(handle):
    return handle.get(timeout=10, interval=0.001)
