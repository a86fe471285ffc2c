"""`jobresults up`: it serves, mends itself, and leaves nothing behind."""

from __future__ import annotations

import signal
import socket
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.e2e.up_process import Up, is_alive, run, running_up
from tests.services.process import eventually
from tests.services.redis_server import RedisServer
from tests.services.scraping import scrape
from tests.services.stack import reserved_port

MESSAGES = {
    "messages": [
        {
            "sender": "AX-HDFCBK",
            "body": "INR 65,000.00 credited to A/c XX4821 on 01-Jan-24. Avl bal INR 1,50,000.00",
            "received_at": "2024-01-01T13:44:07Z",
        }
    ]
}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One for the tests that do not end it."""
    with running_up(tmp_path_factory.mktemp("up")) as up:
        yield up


def test_a_job_runs_from_the_first_start_on(up: Up) -> None:
    answer = up.request("POST", "/add/alice", json=MESSAGES, headers={"Prefer": "wait=30"})
    assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == "succeeded"


def test_the_operators_key_is_private_and_needed(up: Up) -> None:
    assert stat.S_IMODE((up.data / "api-key").stat().st_mode) == 0o600
    assert requests.get(f"{up.url}/v1/jobs", timeout=10).status_code == 401
    assert up.request("GET", "/v1/jobs").status_code == 200


def test_people_can_log_in_once_the_operator_has_made_them_an_account(up: Up) -> None:
    body = {"name": "ann", "password": "correct horse"}
    assert up.request("POST", "/user/", json={**body, "role": "admin"}).status_code == 201
    login = requests.post(f"{up.url}/login", json=body, timeout=10)
    assert login.status_code == 200, login.text
    bearer = {"Authorization": f"Bearer {login.json()['token']}"}
    assert requests.get(f"{up.url}/user/", headers=bearer, timeout=10).status_code == 200
    assert stat.S_IMODE((up.data / "token-keys").stat().st_mode) == 0o600


def test_it_tells_where_it_is_and_what_to_try(up: Up) -> None:
    eventually(lambda: "Ctrl-C stops it." in up.process.log(), "it is announced")
    log = up.process.log()
    assert f"jobresults is ready at {up.url}" in log
    assert f"\"Authorization: Bearer $(cat 'data/api-key')\" {up.url}/v1/tasks" in log


def test_commands_in_its_directory_find_it(up: Up) -> None:
    (up.data.parent / ".jobresults").symlink_to(up.data)
    submitted = run("submit", "score", "-p", "messages=[]", "--wait", directory=up.data.parent)
    assert submitted.returncode == 0, submitted.stderr


@pytest.mark.parametrize("word", ["redis-server", "gunicorn", "worker", "maintenance"])
def test_a_killed_process_is_replaced(up: Up, word: str) -> None:
    old = eventually(lambda: up.child(word), f"{word} runs")
    assert old
    old.kill()
    eventually(lambda: up.child(word) not in (None, old), f"{word} runs again")
    eventually(lambda: up.is_ready, "requests are served")
    answer = up.request("POST", "/add/bob", json=MESSAGES, headers={"Prefer": "wait=30"})
    assert answer.status_code == 200, answer.text


def test_a_second_one_in_the_same_directory_is_refused(up: Up) -> None:
    refused = run("up", "--port", "0", "--data-dir", "data", directory=up.data.parent)
    assert refused.returncode == 2
    assert f"in use by `jobresults up`, process {up.process.pid}" in refused.stderr


def test_a_port_in_use_is_refused(up: Up, tmp_path: Path) -> None:
    port = str(urlsplit(up.url).port)
    refused = run("up", "--port", port, directory=tmp_path)
    assert refused.returncode == 2
    assert f"port {port}: Address already in use; choose with --host and --port" in refused.stderr


def test_the_embedded_redis_is_not_for_production(tmp_path: Path) -> None:
    refused = run("up", "--port", "0", directory=tmp_path, JOBRESULTS_ENVIRONMENT="production")
    assert refused.returncode == 2
    assert "set JOBRESULTS_REDIS__URL" in refused.stderr


def test_a_process_that_cannot_start_ends_it_with_the_reason(tmp_path: Path) -> None:
    broken = run("up", "--port", "0", directory=tmp_path, JOBRESULTS_TASKS__MODULES='["no.such"]')
    assert broken.returncode == 1
    assert "did not start: exit status" in broken.stderr
    assert "no.such" in broken.stdout + broken.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_every_process(tmp_path: Path, number: signal.Signals) -> None:
    with running_up(tmp_path) as up:
        processes = up.everything()
        assert len(processes) >= 5
        assert up.process.stop(number) == 0
        assert not [process for process in processes if is_alive(process)]
        assert not up.is_announced


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux'")
def test_nothing_survives_when_it_is_killed_and_it_starts_again(tmp_path: Path) -> None:
    with running_up(tmp_path) as up:
        processes = up.everything()
        up.process.send(signal.SIGKILL)
        eventually(lambda: not any(map(is_alive, processes)), "all processes are dead")
        (up.data / "url").unlink()
    with running_up(tmp_path) as up:
        assert up.is_ready


def test_a_second_start_keeps_key_and_results(tmp_path: Path) -> None:
    with running_up(tmp_path) as up:
        key = (up.data / "api-key").read_text()
        answer = up.request("POST", "/add/alice", json=MESSAGES, headers={"Prefer": "wait=30"})
    with running_up(tmp_path) as up:
        assert (up.data / "api-key").read_text() == key
        job = up.request("GET", answer.json()["links"]["self"]).json()
        assert job["result"] == answer.json()["result"]


def test_metrics_have_ports_of_their_own(tmp_path: Path) -> None:
    with reserved_port() as port, running_up(tmp_path, JOBRESULTS_METRICS__PORT=str(port)) as up:
        eventually(lambda: "Ctrl-C stops it." in up.process.log(), "it is announced")
        url = "http://127.0.0.1:{}/metrics"
        web, maintenance, worker = (url.format(port + number) for number in range(3))
        printed = f"Metrics: {web} (web), {maintenance} (maintenance), {worker} (workers)"
        assert printed in up.process.log()
        assert scrape(port)("jobresults_build_info", process="web") == 1


def test_a_key_its_ledger_does_not_know_is_pointed_out(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "api-key").write_text("jr_000000000000_of-another-ledger\n")
    with running_up(tmp_path) as up:
        eventually(lambda: "does not know that key" in up.process.log(), "it is pointed out")


def test_a_configured_redis_is_used_and_left_running(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    with running_up(tmp_path, JOBRESULTS_REDIS__URL=redis_server.url) as up:
        assert up.child("redis-server") is None
        answer = up.request("POST", "/add/alice", json=MESSAGES, headers={"Prefer": "wait=30"})
        assert answer.status_code == 200, answer.text
    assert redis_server.process.is_running
    assert not (up.data / "redis").exists()


def test_a_port_is_taken_from_the_option_before_the_configuration(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        with running_up(tmp_path, JOBRESULTS_WEB__PORT=str(port)) as up:
            assert urlsplit(up.url).port != port
