"""docker-compose.yaml brought up for real: what users of `docker compose` are told to do, and what
must not be lost meanwhile. `make compose-test` runs these.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from examples.demo import SAMPLES
from jobresults import Client
from jobresults.client import JobHandle
from jobresults.embedded.stack import usable_port
from tests.compose.docker_compose import NEEDS_COMPOSE, find_compose, serving_engine
from tests.compose.installation import Installation
from tests.services.process import eventually

# In this order: each begins with what runs after the one before.
pytestmark = [pytest.mark.compose, pytest.mark.timeout(500)]

RESTARTED = ("redis", "postgres", "worker", "maintenance", "web", "nginx")


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    """Up, from nothing but the project's files."""
    compose = find_compose()
    if compose is None:
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing(NEEDS_COMPOSE)
    name = f"jobresults-test-{os.getpid()}"
    # Short, for the path of a socket.
    directory = Path(tempfile.mkdtemp(prefix="jr-compose-", dir="/tmp"))
    try:
        with serving_engine(directory, name) as environ:
            made = Installation(
                directory / "project", compose, environ, name=name, port=usable_port("127.0.0.1", 0)
            )
            try:
                made("build", timeout_seconds=400)
                made.up()
                yield made
            finally:
                made.remove()
    finally:
        shutil.rmtree(directory)


@pytest.fixture(scope="module")
def url(installation: Installation) -> str:
    """As it says where it is."""
    return _printed_url(installation)


def _printed_url(installation: Installation) -> str:
    (found, *_) = re.findall(r"jobresults is ready at (\S+)", installation.log("nginx"))
    return str(found)


@pytest.fixture(scope="module")
def key(installation: Installation) -> str:
    return installation.new_key()


@pytest.fixture(scope="module")
def client(url: str, key: str) -> Iterator[Client]:
    """Patient enough for a restart."""
    with Client(url, key, timeout=90) as client:
        yield client


def test_it_answers_at_the_url_it_prints(installation: Installation, url: str) -> None:
    assert installation("port", "nginx", "8080").strip() == url.removeprefix("http://")
    assert requests.get(f"{url}/docs", timeout=10).status_code == 200
    assert requests.get(f"{url}/status/ready", timeout=10).json()["ready"] is True


def test_the_demos_customers_are_scored_behind_nginx(
    installation: Installation, client: Client
) -> None:
    for sample in SAMPLES:
        job = client.add(sample.stem, json.loads(sample.read_text()))
        assert job.result(60)["customer"] == sample.stem
    edge = yaml.safe_load(installation("config"))["networks"]["edge"]["ipam"]["config"][0]
    addresses = set(re.findall(r'"client_ip": ?"([^"]+)"', installation.log("web")))
    callers = {ip_address(text) for text in addresses} - {ip_address("127.0.0.1")}
    assert callers  # of requests, not of health checks
    assert not any(caller in ip_network(edge["subnet"]) for caller in callers), "nginx's own word"


def test_restarts_lose_no_job(installation: Installation, client: Client) -> None:
    enough = threading.Event()

    def submit_many() -> list[JobHandle]:
        handles = []
        while not enough.is_set():
            handles.append(client.submit("slow", {"seconds": 0.1}))
        return handles

    with ThreadPoolExecutor(3) as callers:
        submitting = [callers.submit(submit_many) for _ in range(3)]
        try:
            for service in RESTARTED:
                installation("restart", service)
        finally:
            enough.set()
        handles = [handle for one in submitting for handle in one.result()]
    assert len(handles) > 2 * len(RESTARTED)
    assert {handle.result(120) for handle in handles} == {"done"}


def test_told_to_stop_it_finishes_what_runs_and_who_waits_gets_the_answer(
    installation: Installation, client: Client, url: str, key: str
) -> None:
    job = client.submit("slow", {"seconds": 4})
    eventually(lambda: job.status() == "running", "it runs")
    with ThreadPoolExecutor(1) as callers:
        waiting = callers.submit(_wait_for, f"{url}/v1/jobs/{job.id}?wait=30", key)
        time.sleep(1)  # for the request to arrive
        installation("stop", timeout_seconds=150)
        answer = waiting.result()
    assert answer["state"] == "succeeded"
    assert answer["attempt"] == 1
    exited = {
        line["Service"]: line["ExitCode"]
        for line in map(json.loads, installation("ps", "--all", "--format", "json").splitlines())
    }
    assert {exited[name] for name in ("web", "worker", "maintenance", "migrate", "nginx")} == {0}


def _wait_for(url: str, key: str) -> Any:
    bearer = {"Authorization": f"Bearer {key}"}
    return requests.get(url, headers=bearer, timeout=60).json()


def test_what_it_knows_outlives_its_containers(
    installation: Installation, client: Client, url: str
) -> None:
    installation.up()
    (score,) = list(client.jobs(customer=SAMPLES[0].stem))
    result = client.job(score["job_id"]).result(30)
    installation("down", "--timeout", "30", timeout_seconds=150)
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=5)
    installation.up()
    assert client.job(score["job_id"]).result(30) == result
    assert client.submit("slow", {"seconds": 0}).result(60) == "done"


def test_prometheus_sees_every_process_and_its_alertmanager(installation: Installation) -> None:
    installation.up("prometheus", "alertmanager")

    def asked(path: str) -> Any:
        fetch = ("exec", "-T", "prometheus", "wget", "-q", "-O", "-")
        return json.loads(installation(*fetch, f"http://127.0.0.1:9090/api/v1/{path}"))["data"]

    def health() -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for target in asked("targets")["activeTargets"]:
            found.setdefault(target["labels"]["job"], []).append(target["health"])
        return found

    wanted = {
        "jobresults-web": ["up"],
        "jobresults-maintenance": ["up"],
        "jobresults-worker": ["up", "up"],
    }
    eventually(lambda: health() == wanted, "all are scraped", within_seconds=60)
    assert asked("alertmanagers")["activeAlertmanagers"]
    rules = [rule for group in asked("rules")["groups"] for rule in group["rules"]]
    assert {rule["health"] for rule in rules} <= {"ok", "unknown"}
