from __future__ import annotations

import gzip
import inspect
import json
import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3
from requests.adapters import HTTPAdapter

from jobresults import Client
from jobresults.client import ClientError, Conflict, RateLimited, ServiceUnavailable, exchange
from tests.services.process import unmeasured
from tests.unit.client.scripted_service import Reply, ScriptedService

Job = dict[str, Any]
OK = Reply(200, {"success": "OK"})
LONG = {"X-Padding": "x" * 10_000}  # a header that takes minutes, byte by byte


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_a_passing_failure_is_retried(
    client: Client, service: ScriptedService, status: int
) -> None:
    service.replies(Reply(status, content=b"<html>down</html>"), OK)
    assert client.status() == {"success": "OK"}
    assert len(service.received) == 2


@pytest.mark.parametrize("status", [400, 401, 404, 409, 424, 500])
def test_a_lasting_failure_is_not_retried(
    client: Client, service: ScriptedService, status: int
) -> None:
    service.replies(Reply(status, {}), OK)
    with pytest.raises(ClientError):
        client.status()
    assert len(service.received) == 1


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "1"},
        # In the past of every clock but the service's own.
        {
            "Date": "Fri, 02 Jan 2015 10:00:00 GMT",
            "Retry-After": "Fri, 02 Jan 2015 10:00:01 GMT",
        },
    ],
    ids=["integer", "date"],
)
def test_a_retry_never_comes_before_retry_after(
    client: Client, service: ScriptedService, status: int, headers: dict[str, str]
) -> None:
    service.replies(Reply(status, {}, headers), OK)
    client.status()
    assert service.gap_seconds(0) >= 1.0


def test_a_retry_after_beyond_the_deadline_is_raised_at_once(
    client: Client, service: ScriptedService
) -> None:
    service.replies(Reply(429, {"detail": "quota used up"}, {"Retry-After": "3600"}))
    with pytest.raises(RateLimited, match="quota used up") as failure:
        client.status()
    assert failure.value.retry_after_seconds == 3600.0
    assert failure.value.retryable
    assert len(service.received) == 1


def test_a_lost_answer_is_asked_for_again_under_the_same_idempotency_key(
    client: Client, service: ScriptedService, queued: Job
) -> None:
    service.replies(Reply(dropped=True), Reply(202, queued, torn=True), Reply(202, queued))
    assert client.submit("score", {"x": 1}).id == "j1"
    keys = {request.headers["Idempotency-Key"] for request in service.received}
    contents = {request.content for request in service.received}
    assert len(service.received) == 3
    assert len(keys) == len(contents) == 1


def test_a_submission_still_in_flight_is_retried(
    client: Client, service: ScriptedService, queued: Job
) -> None:
    service.replies(Reply(409, {"code": "idempotency_in_flight"}), Reply(202, queued))
    assert client.submit("score", {}).id == "j1"
    assert len(service.received) == 2


def test_any_other_conflict_is_raised(client: Client, service: ScriptedService) -> None:
    service.replies(Reply(409, {"code": "conflict"}))
    with pytest.raises(Conflict):
        client.job("j1").rerun()
    assert len(service.received) == 1


def test_no_answer_in_time_is_retried_on_another_connection(
    client: Client,
    service: ScriptedService,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exchange, "_ANSWER_SECONDS", 0.3)
    service.replies(Reply(200, {"success": "OK"}, piece_seconds=3600), OK)
    assert client.status() == {"success": "OK"}
    assert service.received[0].connection != service.received[-1].connection


def test_a_slow_answer_that_ends_in_time_is_read(client: Client, service: ScriptedService) -> None:
    service.replies(Reply(200, {"success": "OK"}, piece_seconds=0.02))
    assert client.status() == {"success": "OK"}


@pytest.mark.parametrize("head_too", [False, True], ids=["body", "header"])
def test_an_answer_that_trickles_past_the_deadline_is_given_up(
    service: ScriptedService, head_too: bool
) -> None:
    service.replies(Reply(200, "x" * 100_000, LONG, piece_seconds=0.05, head_too=head_too))
    with (
        Client(service.url, timeout=0.2) as client,
        pytest.raises(ServiceUnavailable, match="did not end in time"),
    ):
        client.status()
    assert len(service.received) == 1


def test_so_is_one_that_comes_through_a_proxy(
    service: ScriptedService, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in {"http_proxy": service.url, "no_proxy": "", "NO_PROXY": ""}.items():
        monkeypatch.setenv(name, text)
    service.replies(Reply(200, {}, LONG, piece_seconds=0.05, head_too=True))
    with (
        Client("http://jobs.example", timeout=0.2) as client,
        pytest.raises(ServiceUnavailable, match="did not end in time"),
    ):
        client.status()


def test_so_is_one_on_connections_of_the_callers_own(service: ScriptedService) -> None:
    service.replies(Reply(200, "x" * 100_000, piece_seconds=0.05))
    with (
        requests.Session() as session,
        Client(service.url, timeout=0.2, session=session) as client,
        pytest.raises(ServiceUnavailable, match="did not end in time"),
    ):
        client.status()


def test_a_long_upload_that_makes_headway_is_not_cut_off(
    client: Client, service: ScriptedService, queued: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "_CONNECT_SECONDS", 0.3)
    service.reading_seconds = 0.05
    service.replies(Reply(202, queued))
    client.submit("score", "x" * 20_000_000)
    assert len(service.received) == 1


def test_one_deadline_covers_all_retries(service: ScriptedService) -> None:
    service.replies(Reply(503, {"detail": "the ledger is down"}))
    with (
        Client(service.url, timeout=1) as client,
        pytest.raises(ServiceUnavailable, match="the ledger is down"),
    ):
        client.status()
    assert len(service.received) >= 2


def test_the_wait_shrinks_with_what_is_left_of_the_deadline(
    client: Client, service: ScriptedService
) -> None:
    service.replies(Reply(503, {}, {"Retry-After": "1"}), Reply(200, 1))
    client.job("j1").result(timeout=5)
    first, second = (request.wait_seconds for request in service.received)
    assert second <= first - 1 <= 4


@pytest.mark.parametrize("left_seconds", [-1.0, 0.0, 0.5, 5.0, 25.0, 1000.0])
def test_a_read_timeout_always_exceeds_the_wait(left_seconds: float) -> None:
    deadline = time.monotonic() + left_seconds
    request = exchange.Exchange("GET", "http://service.example", deadline, 25.0)
    wait = request.wait_seconds()
    _, read_seconds = request.arguments(wait)["timeout"]
    assert wait + 1 <= read_seconds <= wait + 10


def test_nobody_listening_is_a_service_unavailable() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        client = Client(f"http://127.0.0.1:{unused.getsockname()[1]}", timeout=0.1)
        with pytest.raises(ServiceUnavailable, match=r"^GET http://.*/status: no answer"):
            client.status()


def test_a_handshake_that_is_cut_off_is_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        calls = []

        def hang_up() -> None:
            for _ in range(2):
                connection, _address = listener.accept()
                calls.append(connection.recv(10_000))
                connection.close()

        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        client = Client(f"https://127.0.0.1:{listener.getsockname()[1]}", timeout=2)
        with pytest.raises(ServiceUnavailable):
            client.status()
        thread.join()
    assert len(calls) == 2


def test_an_insecure_connection_is_not_tried_again(service: ScriptedService) -> None:
    client = Client(service.url.replace("http:", "https:"))
    with pytest.raises(ClientError, match="no secure connection") as caught:
        client.status()
    assert not caught.value.retryable


def test_the_reason_told_is_not_what_the_caller_was_handling() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        client = Client(f"http://127.0.0.1:{unused.getsockname()[1]}", timeout=0)
        try:
            raise KeyError("of the caller")
        except KeyError:
            with pytest.raises(ServiceUnavailable, match=r"no answer: .*refused"):
                client.status()


def test_retries_are_logged_below_warning(
    client: Client, service: ScriptedService, caplog: pytest.LogCaptureFixture
) -> None:
    service.replies(Reply(503, {"detail": "draining"}), OK)
    with caplog.at_level(logging.DEBUG, logger="jobresults.client"):
        client.status()
    (record,) = (record for record in caplog.records if record.name.startswith("jobresults"))
    assert record.levelno == logging.INFO
    assert "draining (status 503); trying again in" in record.message


def test_a_connection_is_used_again(client: Client, service: ScriptedService) -> None:
    service.replies(OK, Reply(400, {"detail": "no"}), OK)
    client.status()
    with pytest.raises(ClientError):
        client.status()
    client.status()
    assert len({request.connection for request in service.received}) == 1


def test_threads_share_a_client_but_no_connection(service: ScriptedService) -> None:
    service.replies(OK)
    together = threading.Barrier(4)

    def call(client: Client) -> None:
        for _ in range(5):
            together.wait(10)
            assert client.status() == {"success": "OK"}

    client = Client(service.url)
    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(call, client) for _ in range(4)]:
            done.result()
    assert len(service.received) == 20
    assert len({request.connection for request in service.received}) == 4


FORKS = """
import os, sys
from jobresults import Client

client = Client(sys.argv[1])
client.status()
child = os.fork()
for _ in range(2):
    assert client.status() == {"success": "OK"}
if not child:
    os._exit(0)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_after_a_fork_parent_and_child_share_no_connection(service: ScriptedService) -> None:
    service.replies(OK)
    run = subprocess.run(
        [sys.executable, "-c", FORKS, service.url],
        env=unmeasured(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    assert len(service.received) == 5
    assert len({request.connection for request in service.received}) == 2


def test_a_session_given_is_used_and_left_open(service: ScriptedService) -> None:
    service.replies(OK)
    with requests.Session() as session:
        session.headers["X-Team"] = "billing"
        with Client(service.url, session=session) as client:
            client.status()
        assert service.received[0].headers["X-Team"] == "billing"
        assert session.get(f"{service.url}/status").ok
    assert len({request.connection for request in service.received}) == 1


@pytest.mark.parametrize(("token", "header"), [("key", "Bearer key"), (None, None)])
def test_credentials_are_never_taken_from_netrc(
    service: ScriptedService,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    token: str | None,
    header: str | None,
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login eve password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    service.replies(OK)
    with Client(service.url, token) as client:
        client.status()
    assert service.received[0].headers.get("Authorization") == header


def test_a_redirect_is_told_not_followed(client: Client, service: ScriptedService) -> None:
    service.replies(Reply(301, headers={"Location": "https://jobs.example/status"}))
    with pytest.raises(ClientError, match=r"redirected to https://jobs\.example/status"):
        client.status()
    assert len(service.received) == 1


@pytest.mark.parametrize("content", [b"<html>welcome</html>", b"", b"\xff"])
def test_an_answer_that_is_not_json_is_told(
    client: Client, service: ScriptedService, content: bytes
) -> None:
    service.replies(Reply(200, content=content))
    with pytest.raises(ClientError, match="not JSON"):
        client.status()


def test_compressed_and_chunked_answers_are_read(client: Client, service: ScriptedService) -> None:
    value = [f"line {number}" for number in range(50_000)]
    packed = gzip.compress(json.dumps(value).encode())
    service.replies(Reply(200, content=packed, headers={"Content-Encoding": "gzip"}))
    assert client.job("j1").result() == value
    chunked = b"2\r\n[1\r\n3\r\n,2]\r\n0\r\n\r\n"
    headers = {"Transfer-Encoding": "chunked"}
    service.replies(Reply(200, content=chunked, headers=headers))
    assert client.job("j1").result() == [1, 2]


def test_a_base_url_may_have_a_path(service: ScriptedService) -> None:
    service.replies(OK)
    with Client(f"{service.url}/jobs/") as client:
        client.status()
    assert service.received[0].path == "/jobs/status"


class Failing(HTTPAdapter):
    """A way to the service on which every request meets the same exception."""

    def __init__(self, failure: Exception) -> None:
        super().__init__()
        self._failure = failure

    def send(self, *_: Any, **__: Any) -> requests.Response:
        raise self._failure


def _kinds(module: Any, root: type[BaseException]) -> list[type[BaseException]]:
    found = (kind for _, kind in inspect.getmembers(module, inspect.isclass))
    return [kind for kind in found if issubclass(kind, root)]


@pytest.mark.parametrize(
    "make",
    [
        *_kinds(requests.exceptions, requests.RequestException),
        OSError,
        lambda: urllib3.exceptions.ProtocolError("broken"),
        lambda: urllib3.exceptions.DecodeError("broken"),
    ],
)
def test_every_foreign_exception_becomes_one_of_the_tree(make: Callable[[], Exception]) -> None:
    if make is requests.exceptions.JSONDecodeError:
        failure: Exception = requests.exceptions.JSONDecodeError("broken", "", 0)
    else:
        failure = make()
    with requests.Session() as session:
        session.mount("http://", Failing(failure))
        client = Client("http://service.example", timeout=0, session=session)
        with pytest.raises(ClientError) as caught:
            client.status()
    assert caught.value.__cause__ is failure
