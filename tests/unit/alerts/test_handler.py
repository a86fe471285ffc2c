"""The handler: what it counts, what it lets pass, and that it never hurts who logs."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from jobresults.alerts import process
from jobresults.alerts.counts import Count, Counts
from jobresults.alerts.flusher import Batch
from jobresults.alerts.handler import AlertHandler
from jobresults.alerts.process import ProcessAlerts
from jobresults.errors import Unavailable
from jobresults.telemetry.logging_context import ContextFilter, bound
from tests.services.process import unmeasured


class Taker:
    """A transport that keeps what it takes; it may refuse, or take and not say so."""

    def __init__(self) -> None:
        self.batches: dict[int, Batch] = {}
        self.refuses = False
        self.loses_answer = False
        self.waited: list[int] = []

    def send(self, batch: Batch) -> None:
        if self.refuses:
            raise Unavailable("not now")
        self.batches.setdefault(batch.number, batch)
        if self.loses_answer:
            self.loses_answer = False
            raise Unavailable("who knows")

    def wait_out(self, pending: Sequence[Count], unavailable_seconds: float) -> None:
        self.waited.append(sum(count.count for count in pending))

    @property
    def counts(self) -> list[Count]:
        return [count for batch in self.batches.values() for count in batch.counts]

    @property
    def total(self) -> int:
        return sum(count.count for count in self.counts)


@pytest.fixture
def alerts(monkeypatch: pytest.MonkeyPatch) -> ProcessAlerts:
    fresh = ProcessAlerts()
    monkeypatch.setattr(process, "alerts", fresh)
    return fresh


@pytest.fixture
def taker(alerts: ProcessAlerts) -> Taker:
    taker = Taker()
    alerts.send_through(taker, in_app=["tests", "test_handler"])
    return taker


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """A logger with both routes, as the root logger has them."""
    logger = logging.getLogger("jobresults.of_this_test")
    handlers = [AlertHandler(), AlertHandler()]
    for handler in handlers:
        handler.setLevel(logging.WARNING)
        handler.addFilter(ContextFilter())
        logger.addHandler(handler)
    logger.propagate = False
    yield logger
    logger.handlers.clear()
    logger.propagate = True


def keys(taker: Taker, alerts: ProcessAlerts) -> set[str]:
    assert alerts.flush(5)
    return {count.key for count in taker.counts}


def test_an_event_counts_once_for_both_routes(
    alerts: ProcessAlerts, taker: Taker, log: logging.Logger
) -> None:
    for number in range(25):
        log.error("job %s failed", number)
    assert alerts.flush(5)
    assert taker.total == 25
    assert {count.key for count in taker.counts} == {"jobresults.of_this_test|job %s failed"}


def test_warnings_count_only_if_they_ask_for_it(
    alerts: ProcessAlerts, taker: Taker, log: logging.Logger
) -> None:
    log.warning("nothing")
    log.info("nothing", extra={"alert": True})
    log.warning("asked", extra={"alert": True, "alert_key": "asked"})
    assert keys(taker, alerts) == {"asked"}
    assert taker.counts[0].severity == "warning"


@pytest.mark.parametrize(
    "name",
    [
        "slack_sdk.web",
        "urllib3",
        "requests",
        "sentry_sdk.errors",
        "redis",
        "jobresults.alerts.relay",
    ],
)
def test_what_delivers_alerts_causes_none(alerts: ProcessAlerts, taker: Taker, name: str) -> None:
    record = logging.makeLogRecord({"name": name, "levelno": logging.CRITICAL, "msg": "x"})
    AlertHandler().handle(record)
    assert keys(taker, alerts) == set()


def test_the_sample_tells_what_was_bound(
    alerts: ProcessAlerts, taker: Taker, log: logging.Logger
) -> None:
    with bound(request_id="r1", job_id="j1", task="score", customer="acme", attempt=2):
        try:
            {}["missing"]
        except KeyError:
            extra = {"queue": "q", "http_route": "/r", "alert_runbook": "my-page"}
            log.exception("lookup of %s\nfailed", "x", extra=extra)
    assert alerts.flush(5)
    (count,) = taker.counts
    assert count.sample is not None
    expected = {"request_id": "r1", "job_id": "j1", "task": "score", "customer": "acme"}
    expected |= {"attempt": 2, "queue": "q", "http_route": "/r", "logger": log.name}
    expected |= {
        "runbook": "my-page",
        "title": "KeyError: 'missing'",
        "message": "lookup of x\nfailed",
    }
    assert expected.items() <= count.sample.items()
    assert "test_the_sample_tells_what_was_bound" in count.sample["frames"]
    assert count.sample["frames"].endswith("KeyError: 'missing'")
    assert (count.jobs, count.customers) == ({"j1"}, {"acme"})


def test_a_sample_holds_no_secret(alerts: ProcessAlerts, taker: Taker, log: logging.Logger) -> None:
    leak = "password=canary at postgresql://me:canary@db/ledger"
    beyond = "x" * 1_990 + " Bearer canary1234"  # where the message is cut
    try:
        raise ValueError(leak)
    except ValueError:
        log.exception("%s", leak, extra={"alert_key": "raised"})
    log.error(beyond, extra={"alert_key": "told", "alert_title": leak, "alert_frames": leak})
    assert keys(taker, alerts) == {"raised", "told"}
    samples = [count.sample for count in taker.counts if count.sample is not None]
    assert "canary" not in json.dumps(samples)
    assert [sample["title"].partition("=")[2][:11] for sample in samples] == ["[hidden] at"] * 2


class Spiteful:
    """Logs an error and fails when it is to be shown."""

    def __init__(self, handler: AlertHandler) -> None:
        self.handler = handler

    def record(self) -> logging.LogRecord:
        return error_record(msg="%s", args=(self,))

    def __str__(self) -> str:
        self.handler.handle(self.record())
        raise RuntimeError("no text")


def error_record(**attributes: object) -> logging.LogRecord:
    """For handlers alone: pytest would trip over it."""
    return logging.makeLogRecord({"name": "any", "levelno": logging.ERROR, **attributes})


def test_a_line_that_cannot_be_formatted_raises_nothing_and_does_not_recurse(
    alerts: ProcessAlerts, taker: Taker
) -> None:
    handler = AlertHandler()
    handler.handle(Spiteful(handler).record())
    handler.handle(error_record(msg="bad \ud800", job_id="\ud800", alert_key="k"))
    assert keys(taker, alerts) == {"any|%s", "k"}
    (spiteful,) = [count.sample for count in taker.counts if count.key != "k"]
    assert spiteful is not None
    assert spiteful["title"] == "%s (with arguments that cannot be shown: RuntimeError)"
    assert (alerts.failures, taker.total) == (0, 2)
    assert "\\ud8" not in json.dumps([count.as_json() for count in taker.counts])


class Timeout(BaseException):
    """As a task's timeout is."""


class Slow:
    def __str__(self) -> str:
        time.sleep(5)
        return "slow"


def test_a_timeout_inside_the_handler_gets_through(
    alerts: ProcessAlerts, taker: Taker, log: logging.Logger
) -> None:
    def ring(*_: object) -> None:
        raise Timeout

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(Timeout):
            log.error("%s", Slow())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    log.error("after", extra={"alert_key": "after"})
    assert "after" in keys(taker, alerts)


def test_nothing_is_lost_or_doubled_while_counts_are_refused(
    alerts: ProcessAlerts, taker: Taker, log: logging.Logger
) -> None:
    taker.refuses = True
    for _ in range(10):
        log.error("boom")
    assert not alerts.flush(0.3)
    log.error("boom")
    assert not alerts.flush(0.3)
    assert max(taker.waited) == 11
    taker.refuses, taker.loses_answer = False, True
    assert alerts.flush(5)
    assert taker.total == 11


def test_what_is_logged_before_there_is_a_transport_is_told_later(
    alerts: ProcessAlerts, log: logging.Logger
) -> None:
    log.error("early")
    assert not alerts.flush(0.1)
    taker = Taker()
    alerts.send_through(taker)
    assert alerts.flush(5)
    assert taker.total == 1


def test_the_first_event_can_be_handed_over_within_its_log_call(
    alerts: ProcessAlerts, log: logging.Logger
) -> None:
    taker = Taker()
    alerts.send_through(taker, first_at_once=True)
    log.error("boom")
    assert taker.total == 1


FORKS = """
import logging, os, sys, threading
from jobresults.alerts import process
from jobresults.alerts.handler import AlertHandler

forks = int(sys.argv[1])
read, write = os.pipe()

class Taker:
    def send(self, batch):
        text = "".join(f"{count.key} {count.count}\\n" for count in batch.counts)
        os.write(write, text.encode())
    def wait_out(self, pending, seconds):
        pass

log = logging.getLogger("jobresults.forks")
log.propagate = False
log.addHandler(AlertHandler())
process.alerts.send_through(Taker())
stop = threading.Event()
logged = [0, 0]

def work(number):
    while not stop.is_set():
        log.error("parent", extra={"alert_key": "parent"})
        logged[number] += 1
        stop.wait(0.0005)

threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
for thread in threads:
    thread.start()
said = []
reader = threading.Thread(target=lambda: said.extend(os.fdopen(read, closefd=False)))
reader.start()
for _ in range(forks):
    pid = os.fork()
    if pid == 0:
        log.error("child", extra={"alert_key": "child"})
        os._exit(0 if process.alerts.flush(10) else 1)
    assert os.waitpid(pid, 0)[1] == 0
stop.set()
for thread in threads:
    thread.join()
assert process.alerts.flush(10)
os.close(write)
reader.join()
totals = {}
for line in said:
    key, count = line.split()
    totals[key] = totals.get(key, 0) + int(count)
assert totals == {"parent": sum(logged), "child": forks}, (totals, logged)
"""


def test_threads_that_log_through_a_thousand_forks() -> None:
    """Red with a lock in the handler, and with a thread that is started once and for all."""
    import subprocess

    environ = unmeasured(PYTHONPATH=os.pathsep.join(sys.path))
    command = [sys.executable, "-c", FORKS, "1000"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr


def test_a_flush_waits_for_what_another_thread_has_just_collected(
    alerts: ProcessAlerts, taker: Taker, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Red if `flush` looks only at what is there to be collected or handed over."""
    collect, collecting, go_on = Counts.collect, threading.Event(), threading.Event()

    def slow_collect(counts: Counts) -> list[Count]:
        found = collect(counts)
        if found and not collecting.is_set():
            collecting.set()
            assert go_on.wait(10)
        return found

    monkeypatch.setattr(Counts, "collect", slow_collect)
    log.error("boom")
    assert collecting.wait(5)
    assert not alerts.flush(0.1)
    go_on.set()
    assert alerts.flush(5)
    assert taker.total == 1


def test_an_idle_process_has_no_thread_for_alerts(alerts: ProcessAlerts, taker: Taker) -> None:
    assert threading.active_count() == len(threading.enumerate())
    assert alerts.flush(0.1)
