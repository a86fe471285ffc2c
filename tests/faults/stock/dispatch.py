"""Jobs on their way to a worker: pushed twice, refused, or handed to one that dies."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from rq import Queue, Retry
from rq.job import Job
from rq.registry import StartedJobRegistry

from tests.faults.stock.rig import (
    Rig,
    Seen,
    comes_true,
    expire_heartbeats,
    freeze_in_pop,
    kill_both,
    seconds_of,
    status_of,
)

WATCH_SECONDS = 30
COPIES = 4


def reply_of_enqueue_lost(rig: Rig) -> Seen:
    """Row 1: redis-py repeats what has been done already."""
    server = rig.redis()
    proxy = rig.proxy(server)
    loss = proxy.lose("reply", b"RPUSH")
    job = rig.enqueue(rig.queue(proxy.redis_url))
    assert loss.happened.is_set()
    pushed = rig.queue(server.url).count
    rig.drain(server.url)
    starts = rig.starts(job)
    return Seen(f"pushed {pushed} times, **run {starts} times**", starts > 1)


def redis_refuses_at_submit(rig: Rig) -> Seen:
    """Row 2."""
    server = rig.redis("--appendonly", "yes")
    queue = rig.queue(server.url)
    with server.stopped():
        took_seconds, error = seconds_of(lambda: rig.enqueue(queue))
    kept = queue.count
    text = f"`{type(error).__name__}` after {took_seconds:.1f} s, **nothing kept**"
    return Seen(text, error is not None and kept == 0)


def killed_after_pop_of_one_queue(rig: Rig) -> Seen:
    """Row 5: BLMOVE leaves the job in a list that is read every 10 minutes, to mark it failed."""
    return _killed_after_pop(rig, "default")


def killed_after_pop_of_two_queues(rig: Rig) -> Seen:
    """Row 5: BLPOP leaves nothing."""
    return _killed_after_pop(rig, "default", "other")


def _killed_after_pop(rig: Rig, *queues: str) -> Seen:
    server = rig.redis()
    queue = rig.queue(server.url)
    worker = rig.worker(server.url, *queues)
    freeze_in_pop(worker, queue.connection)
    job = rig.enqueue(queue)
    assert queue.count == 0, "it is popped"
    worker.stop(signal.SIGKILL)
    rig.worker(server.url, *queues)
    return _stranded(rig, queue, job, "")


def sigterm_in_the_pop_window(rig: Rig) -> Seen:
    """Row 6: the handler raises in the middle of the pop."""
    server = rig.redis()
    queue = rig.queue(server.url)
    worker = rig.worker(server.url)
    freeze_in_pop(worker, queue.connection)
    job = rig.enqueue(queue)
    worker.send(signal.SIGTERM)
    worker.send(signal.SIGCONT)
    status = worker.end()
    rig.worker(server.url)
    return _stranded(rig, queue, job, f"exit {status}, ")


def _stranded(rig: Rig, queue: Queue, job: Job, before: str) -> Seen:
    """Whether the job is left where it is by a worker that runs the next one."""
    following = rig.enqueue(queue)
    ran = comes_true(lambda: rig.starts(job), WATCH_SECONDS)
    assert rig.starts(following) == 1, "the other worker works"
    places = queue.intermediate_queue.get_job_ids() + queue.job_ids
    where = "in the intermediate queue" if job.id in places else "**in no queue**"
    text = f"{before}status `{status_of(job)}`, {where}, not run {WATCH_SECONDS} s later"
    return Seen("run" if ran else text, not ran)


def four_copies_of_one_dispatch(rig: Rig) -> Seen:
    """Row 14: the worker asks nobody whether the job has run."""
    server = rig.redis()
    queue = rig.queue(server.url)
    job = rig.enqueue(queue)
    queue.connection.rpush(queue.key, *[job.id] * (COPIES - 1))
    rig.drain(server.url)
    return Seen(f"**run {rig.starts(job)} times**", rig.starts(job) > 1)


def four_counts_at_once(rig: Rig) -> Seen:
    """Row 25: to count the running jobs, as dashboards do, is to requeue the abandoned ones."""
    server = rig.redis()
    queue = rig.queue(server.url)
    worker = rig.worker(server.url)
    job = rig.enqueue(queue, gated=True, retry=Retry(max=3))
    rig.await_start(job)
    kill_both(worker)
    expire_heartbeats(queue)
    together = Barrier(COPIES)
    registries = [StartedJobRegistry(queue=rig.queue(server.url)) for _ in range(COPIES)]

    def count(registry: StartedJobRegistry) -> int:
        registry.connection.ping()
        together.wait()
        return registry.count

    with ThreadPoolExecutor(COPIES) as threads:
        list(threads.map(count, registries))
    queued = queue.count
    for start in range(1, 2 + queued):
        rig.open_gate(start)
    rig.drain(server.url)
    return Seen(f"**{queued} copies queued**, {rig.starts(job) - 1} of them run", queued > 1)


def task_unknown_to_an_old_worker(rig: Rig) -> Seen:
    """Row 28: a new deployment knows the function, the worker that is still there does not."""
    server = rig.redis()
    queue = rig.queue(server.url)
    old = rig.worker(server.url)
    job = queue.enqueue("new_release.task")
    failed = comes_true(lambda: status_of(job) == "failed", WATCH_SECONDS)
    assert old.stop() == 0
    (rig.directory / "new_release.py").write_text("def task():\n    return 1\n")
    known = queue.enqueue("new_release.task")
    rig.drain(server.url)
    assert status_of(known) == "finished", "the new worker knows it"
    text = f"**`{status_of(job)}`** at once, not run by the new worker"
    return Seen(text, failed and status_of(job) == "failed")
