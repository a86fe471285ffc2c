"""The endpoint: what it answers, who it lets in, and what a fork inherits of it."""

from __future__ import annotations

import http.client
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
import requests

from jobresults.errors import ConfigurationError
from jobresults.settings import MetricsSettings
from jobresults.telemetry.metrics_server import listen, serve
from jobresults.telemetry.pulse import Pulse
from tests.services.process import eventually
from tests.services.scraping import scrape
from tests.services.stack import reserved_port

HOST = "127.0.0.1"


@contextmanager
def served(pulse: Pulse | None = None) -> Iterator[int]:
    """The port of an endpoint."""
    with reserved_port() as port:
        server = serve(MetricsSettings(port=port), "maintenance", pulse=pulse)
        assert server is not None
        yield port
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with served() as port:
        yield port


def test_without_a_port_there_is_none() -> None:
    assert serve(MetricsSettings(), "maintenance") is None


def test_it_exports_the_process(port: int) -> None:
    scraped = scrape(port)
    assert scraped("jobresults_build_info", process="maintenance") == 1
    assert scraped("process_resident_memory_bytes") > 0


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/metrics", 200),
        ("HEAD", "/metrics", 200),
        ("POST", "/metrics", 405),
        ("OPTIONS", "/metrics", 405),
        ("GET", "/", 404),
        ("GET", "/favicon.ico", 404),
        ("GET", "/metrics/x", 404),
        ("GET", "/live", 404),
    ],
)
def test_only_metrics_are_there_to_read(port: int, method: str, path: str, status: int) -> None:
    answer = requests.request(method, f"http://{HOST}:{port}{path}", timeout=10)
    assert answer.status_code == status
    assert ("jobresults_" in answer.text) == (status == 200 and method == "GET")


def probed(port: int, path: str) -> tuple[int, dict[str, object]]:
    answer = requests.get(f"http://{HOST}:{port}{path}", timeout=10)
    return answer.status_code, answer.json()


def test_a_loop_that_turns_is_alive_and_ready_once_it_works() -> None:
    pulse = Pulse(600)
    with served(pulse) as port:
        status, found = probed(port, "/live")
        assert (status, found["alive"], found["limit_seconds"]) == (200, True, 600)
        assert probed(port, "/ready") == (503, {"ready": False, "waits_for": "it starts"})
        pulse.waits_for = None
        assert probed(port, "/ready") == (200, {"ready": True, "waits_for": None})
        assert scrape(port)("jobresults_build_info", process="maintenance") == 1
        assert requests.post(f"http://{HOST}:{port}/live", timeout=10).status_code == 405


def test_a_loop_that_has_not_turned_for_its_limit_is_neither() -> None:
    pulse = Pulse(0.05)
    pulse.waits_for = None
    with served(pulse) as port:
        eventually(lambda: probed(port, "/live")[0] == 503, "its limit is over")
        assert probed(port, "/ready")[0] == 503
        status, found = probed(port, "/live")
        assert status == 503
        assert float(str(found["silent_seconds"])) >= 0.05


def test_who_keeps_a_connection_open_holds_nobody_up(port: int) -> None:
    with socket.create_connection((HOST, port)) as idle:
        idle.sendall(b"GET /metr")
        assert scrape(port).samples


def test_connections_beyond_a_few_are_closed(port: int) -> None:
    idle = [socket.create_connection((HOST, port)) for _ in range(20)]
    try:
        idle[-1].settimeout(10)
        assert idle[-1].recv(1) == b""
        idle[0].setblocking(False)
        with pytest.raises(BlockingIOError):  # it is still open
            idle[0].recv(1)
    finally:
        for each in idle:
            each.close()


@pytest.mark.parametrize(("host", "reason"), [(HOST, "Address already in use"), ("192.0.2.1", "")])
def test_a_port_that_cannot_be_had_is_named_with_the_remedy(host: str, reason: str) -> None:
    with socket.create_server((HOST, 0)) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(ConfigurationError) as refused:
            serve(MetricsSettings(host=host, port=port), "worker")
    assert f"metrics.port: cannot listen on {host}, port {port}: {reason}" in refused.value.detail
    assert "JOBRESULTS_METRICS__PORT" in refused.value.detail


def of_server(pid: int, port: int) -> list[object]:
    """The server's connections that a process has open."""
    return [
        each
        for each in psutil.Process(pid).net_connections()
        if each.laddr.port == port and each.raddr
    ]


def test_a_fork_holds_neither_the_port_nor_open_connections() -> None:
    with reserved_port() as port:
        server = serve(MetricsSettings(port=port), "worker")
        assert server is not None
        connection = http.client.HTTPConnection(HOST, port)
        connection.connect()
        assert scrape(port).samples  # so the connection before it was accepted
        until, release = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.read(until, 1)
            os._exit(0)
        try:
            eventually(lambda: not of_server(pid, port), "the fork has closed them")
            server.shutdown()
            server.server_close()
            listen(HOST, port).close()
        finally:
            os.write(release, b".")
            os.waitpid(pid, 0)
            connection.close()
            os.close(until)
            os.close(release)
