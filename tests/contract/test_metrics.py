"""`GET /metrics` of a web server: whatever becomes of its workers, counts are right and never
fall.
"""

from __future__ import annotations

import http.client
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import requests

from jobresults.telemetry.metrics import CATALOGUE
from tests.services.process import eventually
from tests.services.scraping import Scrape, scrape
from tests.services.stack import Shape, Stack, reserved_port
from tests.services.stacks import StartStack

WORKERS = 4
FILES_EACH = 5
UNKNOWN = "00000000-0000-7000-8000-000000000000"
REQUESTS = "jobresults_http_requests_total"
Key = tuple[str, str, str]


@dataclass
class Server:
    """A web server that is scraped."""

    stack: Stack
    metrics_port: int

    def scrape(self) -> Scrape:
        return scrape(self.metrics_port)

    @property
    def master(self) -> psutil.Process:
        return psutil.Process(self.stack.processes["web"].pid)

    def children(self) -> tuple[list[psutil.Process], list[psutil.Process]]:
        """The workers, and the exporter."""
        workers, exporters = [], []
        for child in self.master.children():
            with suppress(psutil.NoSuchProcess):
                is_exporter = "jobresults.web.metrics_exporter" in child.cmdline()
                (exporters if is_exporter else workers).append(child)
        return workers, exporters

    def directories(self) -> list[Path]:
        return directories_of(self.metrics_port)


def directories_of(port: int) -> list[Path]:
    return list(Path("/dev/shm").glob(f"jobresults-metrics-127.0.0.1-{port}-*"))


@dataclass
class Load:
    """Requests from a few connections until it is stopped; what was answered, and what was not."""

    port: int
    requests: list[tuple[str, str, str]]
    key: str
    answered: Counter[Key] = field(default_factory=Counter)
    broken: Counter[str] = field(default_factory=Counter)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Load:
        self._threads = [threading.Thread(target=self._send) for _ in range(3)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Authorization": f"Bearer {self.key}"}
        while not self._stopped.is_set():
            for method, path, route in self.requests:
                try:
                    connection.request(method, path, headers=headers)
                    answer = connection.getresponse()
                    answer.read()
                except (OSError, http.client.HTTPException):
                    connection.close()
                    with self._lock:
                        self.broken[route] += 1
                else:
                    with self._lock:
                        self.answered[method, route, str(answer.status)] += 1
        connection.close()


@pytest.fixture(scope="module")
def server(start_stack: StartStack) -> Iterator[Server]:
    with ExitStack() as held:
        port = held.enter_context(reserved_port())
        web = {
            "METRICS__PORT": str(port),
            "WEB__TIMEOUT_SECONDS": "5",
            "WEB__MAX_REQUESTS": "500",
            "WEB__MAX_REQUESTS_JITTER": "0",
        }
        shape = Shape(web_workers=WORKERS, of_process={"web": web})
        yield Server(start_stack(shape), port)


def count(scraped: Scrape, key: Key) -> float:
    method, route, status = key
    return scraped(REQUESTS, method=method, route=route, status=status)


def test_counts_survive_whatever_becomes_of_the_workers(server: Server) -> None:
    done = server.stack.run("echo", {"value": 1})
    load = Load(
        server.stack.port,
        [
            ("GET", f"/get_result?job_id={done}", "/get_result"),
            ("GET", f"/v1/jobs/{done}/result", "/v1/jobs/<job_id>/result"),
            ("GET", "/status", "/status"),
            ("GET", f"/v1/jobs/{UNKNOWN}", "/v1/jobs/<job_id>"),
            ("GET", "/nowhere", "unmatched"),
        ],
        server.stack.key,
    )
    before = seen = server.scrape()
    killed = 0

    def look() -> None:
        nonlocal seen
        now = server.scrape()
        fallen = {series: value for series, value in seen.counts() if now.samples[series] < value}
        assert not fallen
        seen = now

    def replaced(old: list[psutil.Process]) -> Callable[[], bool]:
        def look_whether() -> bool:
            look()
            workers = server.children()[0]
            return len(workers) >= WORKERS and not set(workers) & set(old)

        return look_whether

    with load:
        eventually(lambda: load.answered.total() > 500, "requests are answered")
        first, second, *_ = server.children()[0]
        first.send_signal(signal.SIGKILL)
        second.send_signal(signal.SIGTERM)
        killed += 1
        eventually(replaced([first, second]), "they were replaced")
        old = server.children()[0]
        server.master.send_signal(signal.SIGHUP)
        eventually(replaced(old), "all were replaced", within_seconds=60)
        target = load.answered.total() + 500
        eventually(lambda: load.answered.total() > target, "requests are answered")

    def all_counted() -> bool:
        look()
        return all(
            count(seen, key) - _before(before, key) >= answered - killed
            for key, answered in load.answered.items()
        )

    eventually(all_counted, "what was answered is counted")
    for key, answered in load.answered.items():
        counted = count(seen, key) - _before(before, key)
        assert counted <= answered + load.broken[key[1]], key
    assert {key[1:] for key in load.answered} == {
        ("/get_result", "200"),
        ("/v1/jobs/<job_id>/result", "200"),
        ("/status", "200"),
        ("/v1/jobs/<job_id>", "404"),
        ("unmatched", "404"),
    }
    # The last ones leave after their answers.
    eventually(
        lambda: server.scrape()("jobresults_http_requests_in_progress") == 0, "all have left"
    )
    names = [path.name for directory in server.directories() for path in directory.iterdir()]
    assert len(names) <= FILES_EACH * (3 * WORKERS + 1), names


def _before(scraped: Scrape, key: Key) -> float:
    try:
        return count(scraped, key)
    except KeyError:
        return 0


def test_jobs_are_counted_by_who_commits_them(server: Server) -> None:
    stack, before = server.stack, server.scrape()
    stack.submit("unserved", delay_seconds=60)
    bulk = [{"task": "unserved", "params": {}}] * 3
    many = stack.request("POST", "/v1/jobs", json=bulk).json()["jobs"]
    stack.request("POST", "/add/alice", json={"messages": []})
    stack.request("POST", "/v1/jobs", json={"task": "nope", "params": {}})
    key = {"Idempotency-Key": "once"}
    for _ in range(2):
        body = {"task": "unserved", "params": {}}
        stack.request("POST", "/v1/jobs", json=body, headers=key)
    ids = [each["job"]["job_id"] for each in many]
    for job_id in (ids[0], ids[0], ids[1]):
        stack.request("POST", f"/v1/jobs/{job_id}/cancel")

    def grown(name: str, **labels: str) -> float:
        return server.scrape()(name, **labels) - before(name, **labels)

    unserved = {"task": "unserved", "queue": "unserved"}
    assert grown("jobresults_jobs_submitted_total", **unserved) == 5
    assert grown("jobresults_jobs_ended_total", **unserved, outcome="canceled") == 2
    submitted = "jobresults_jobs_submitted_total"
    assert grown(submitted, task="score", queue="default") == 1
    assert server.scrape()(submitted, task="typed", queue="default") == 0


def test_reads_are_counted_by_where_the_result_was(server: Server) -> None:
    done = server.stack.run("echo")
    before = server.scrape()
    for _ in range(3 * WORKERS):
        assert server.stack.request("GET", f"/get_result?job_id={done}").status_code == 200
    reads, after = "jobresults_result_reads_total", server.scrape()
    memory = after(reads, source="memory") - before(reads, source="memory")
    ledger = after(reads, source="ledger") - before(reads, source="ledger")
    assert memory + ledger == 3 * WORKERS
    assert memory >= 2 * WORKERS


def test_who_waits_is_seen(server: Server, gate: Path) -> None:
    job_id = server.stack.running(gate)
    before = held(server.scrape())
    threads = [
        threading.Thread(target=server.stack.request, args=("GET", f"{path}wait=20"))
        for path in (f"/get_result?job_id={job_id}&", f"/v1/jobs/{job_id}?")
    ]
    for thread in threads:
        thread.start()
    eventually(lambda: server.scrape()("jobresults_long_poll_waiters") == 2, "two wait")
    assert server.scrape()("jobresults_http_requests_in_progress") >= 2
    gate.touch()
    for thread in threads:
        thread.join()
    eventually(lambda: server.scrape()("jobresults_long_poll_waiters") == 0, "nobody waits")
    server.stack.request("GET", f"/v1/jobs/{job_id}?wait=20")  # it has ended: nothing to wait for
    stream = {"Accept": "text/event-stream"}
    server.stack.request("GET", f"/v1/jobs/{job_id}/logs", headers=stream)
    rules = {"/get_result", "/v1/jobs/<job_id>", "/v1/jobs/<job_id>/logs"}
    eventually(lambda: held(server.scrape()) - before == dict.fromkeys(rules, 1), "these were held")


def held(scraped: Scrape) -> Counter[str]:
    """How many requests of each route were held."""
    name = "jobresults_http_request_duration_seconds_count"
    return Counter(
        {
            dict(labels)["route"]: round(value)
            for (each, labels), value in scraped.samples.items()
            if each == name and dict(labels)["held"] == "true"
        }
    )


def test_labels_are_closed_sets(server: Server) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.stack.port, timeout=30)
    for number in range(20):
        connection.request(f"MADE-UP-{number}", f"/{number}")
        connection.getresponse().read()
    connection.close()
    made_up = {"method": "other", "route": "unmatched"}
    eventually(lambda: server.scrape()(REQUESTS, **made_up) == 20, "they are counted")
    scraped = server.scrape()
    assert not [value for value in scraped.labels(REQUESTS, "method") if value.startswith("MADE")]
    rules = {rule for rule in scraped.labels(REQUESTS, "route") if not rule.startswith("/")}
    assert rules == {"unmatched"}
    assert not [rule for rule in scraped.labels(REQUESTS, "route") if "0000" in rule]


def test_the_process_tells_how_it_is(server: Server) -> None:
    scraped = server.scrape()
    assert scraped("jobresults_build_info", process="web") == 1
    for dependency in ("redis", "ledger"):
        assert scraped("jobresults_up_dependency", dependency=dependency) == 1
    assert scraped("jobresults_log_records_total", level="INFO", logger="gunicorn.error") > 0
    assert scraped("jobresults_gevent_hub_lag_seconds_count") > 0
    others = {each.name for each in CATALOGUE if "web" not in each.processes}
    assert not [name for name in scraped.kinds if name.startswith(tuple(others))]
    rss = sum(process.memory_info().rss for process in (server.master, *server.children()[0]))
    assert scraped("process_resident_memory_bytes") == pytest.approx(rss, rel=0.2)


def test_a_stuck_worker_is_counted(server: Server) -> None:
    before = server.scrape()("jobresults_worker_timeouts_total")
    server.children()[0][0].send_signal(signal.SIGSTOP)
    eventually(
        lambda: server.scrape()("jobresults_worker_timeouts_total") > before, "it was killed"
    )


def test_a_dead_exporter_is_replaced_and_nothing_is_lost(server: Server) -> None:
    before = server.scrape()(REQUESTS)
    (exporter,) = server.children()[1]
    exporter.kill()
    eventually(lambda: server.children()[1] not in ([], [exporter]), "there is another")
    assert eventually(server.scrape, "it answers")(REQUESTS) >= before


def test_a_taken_port_stops_the_start_and_says_what_to_do(server: Server) -> None:
    other = {"WEB__PORT": "1", "METRICS__PORT": str(server.metrics_port)}
    server.stack.start_process("web-2", settings=other)
    second = server.stack.processes.pop("web-2")
    assert second.end() == 2
    assert f"metrics.port: cannot listen on 127.0.0.1, port {server.metrics_port}" in second.log()
    assert "JOBRESULTS_METRICS__PORT" in second.log()
    assert len(server.directories()) == 1  # the other's files are left alone
    assert server.scrape().samples


def test_metrics_of_the_small_server(server: Server) -> None:
    with reserved_port() as port, reserved_port() as metrics_port:
        settings = {"WEB__PORT": str(port), "METRICS__PORT": str(metrics_port)}
        server.stack.start_process("web-3", "--server", "pywsgi", settings=settings)
        small = server.stack.processes.pop("web-3")
        try:
            url = f"http://127.0.0.1:{port}"
            eventually(lambda: _get(f"{url}/status") == 200, "it serves")
            assert _get(f"{url}/nowhere") == 404
            eventually(lambda: _counted(metrics_port), "requests are counted")
            assert scrape(metrics_port)("jobresults_http_requests_in_progress") == 0
            (exporter,) = [
                child for child in psutil.Process(small.pid).children() if _is_exporter(child)
            ]
            os.kill(exporter.pid, signal.SIGKILL)
            eventually(lambda: _answers(metrics_port), "there is another exporter")
        finally:
            assert small.stop() == 0
        assert not directories_of(metrics_port)


def test_a_killed_master_leaves_nothing_that_the_next_start_does_not_remove(
    server: Server,
) -> None:
    web = server.stack.processes["web"]
    children = [child for group in server.children() for child in group]
    (old,) = server.directories()
    web.send(signal.SIGKILL)
    psutil.wait_procs(children, timeout=30)
    web.end()
    assert server.directories() == [old]
    server.stack.start_process("web", settings={"WEB__WORKERS": "1"})
    eventually(server.stack.is_ready, "it serves again", within_seconds=60)
    (new,) = server.directories()
    assert new != old
    assert server.scrape()(REQUESTS) < 100
    assert server.stack.processes["web"].stop() == 0
    assert not server.directories()


def _counted(port: int) -> bool:
    scraped = scrape(port)
    found = [
        count(scraped, ("GET", "/status", "200")) >= 1,
        _before(scraped, ("GET", "unmatched", "404")) == 1,
    ]
    return all(found)


def _is_exporter(process: psutil.Process) -> bool:
    return "jobresults.web.metrics_exporter" in process.cmdline()


def _answers(port: int) -> bool:
    with suppress(OSError):
        return bool(scrape(port).samples)
    return False


def _get(url: str) -> int | None:
    with suppress(OSError):
        return requests.get(url, timeout=10).status_code
    return None
