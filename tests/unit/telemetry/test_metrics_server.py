"""The endpoint: what it answers, who it lets in, and what a fork inherits of it."""

from __future__ import annotations

import http.client
import os
import socket
from collections.abc import Iterator

import psutil
import pytest
import requests

from jobresults.errors import ConfigurationError
from jobresults.settings import MetricsSettings
from jobresults.telemetry.metrics_server import listen, serve
from tests.services.scraping import scrape
from tests.services.stack import reserved_port

HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with reserved_port() as port:
        server = serve(MetricsSettings(port=port), "maintenance")
        assert server is not None
        yield port
        server.shutdown()
        server.server_close()


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
    ],
)
def test_only_metrics_are_there_to_read(port: int, method: str, path: str, status: int) -> None:
    answer = requests.request(method, f"http://{HOST}:{port}{path}", timeout=10)
    assert answer.status_code == status
    assert ("jobresults_" in answer.text) == (status == 200 and method == "GET")


def test_who_keeps_a_connection_open_holds_nobody_up(port: int) -> None:
    with socket.create_connection((HOST, port)) as idle:
        idle.sendall(b"GET /metr")
        assert scrape(port).samples


def test_connections_beyond_a_few_are_closed(port: int) -> None:
    idle = [socket.create_connection((HOST, port)) for _ in range(20)]
    try:
        for each in idle:
            each.settimeout(10)
        assert b"" in [each.recv(1) for each in idle[8:]]
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
            inherited = psutil.Process(pid).net_connections()
            assert not [each for each in inherited if each.laddr.port == port and each.raddr]
            server.shutdown()
            server.server_close()
            listen(HOST, port).close()
        finally:
            os.write(release, b".")
            os.waitpid(pid, 0)
            connection.close()
            os.close(until)
            os.close(release)
