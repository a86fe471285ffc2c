"""The built image, run as Kubernetes runs it: as nobody in particular, on a read-only root, without
capabilities. `make image` builds it, `make image-test` runs these.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from examples.demo import SAMPLES
from jobresults.embedded.stack import usable_port
from tests.image.containers import NEEDS_ENGINE, Container, Engine, find_engine
from tests.services.postgresql_server import PostgresqlServer
from tests.services.process import eventually
from tests.services.redis_server import RedisServer
from tests.services.stack import PROJECT

pytestmark = [pytest.mark.image, pytest.mark.timeout(300)]

IMAGE = os.environ.get("IMAGE", "jobresults:test")
TASKS = str(Path(__file__).parent / "tasks")
# Mount points, and files like /etc/hosts.
_MADE_BY_THE_ENGINE = re.compile(r"[AC] /(tmp|dev|proc|sys|run|etc)\b")
_MOUNTED = {str(place) for place in (Path(TASKS), *Path(TASKS).parents)}


class Service:
    """The service in containers; each test may end its own."""

    def __init__(self, engine: Engine, environ: dict[str, str], mounts: list[str]) -> None:
        self._engine, self._environ, self._mounts = engine, environ, mounts
        self._containers: list[Container] = []
        self.url = f"http://127.0.0.1:{environ['JOBRESULTS_WEB__PORT']}"

    def run(self, *command: str) -> Container:
        container = Container(
            self._engine, IMAGE, command, environ=self._environ, mounts=self._mounts
        )
        self._containers.append(container)
        return container

    def end(self) -> None:
        """Leave no container."""
        while self._containers:
            self._containers.pop().remove()

    def is_ready(self) -> bool:
        try:
            return requests.get(f"{self.url}/status/ready", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False


@pytest.fixture(scope="module")
def engine() -> Engine:
    program = find_engine()
    if program is None:
        if os.environ.get("CI"):
            pytest.fail(NEEDS_ENGINE)
        pytest.skip(NEEDS_ENGINE)
    return Engine(program)


@pytest.fixture(scope="module")
def service(
    engine: Engine,
    start_redis: Callable[..., RedisServer],
    postgresql_server: PostgresqlServer,
) -> Iterator[Service]:
    redis_url = start_redis("--unixsocketperm", "777").url
    database_url = postgresql_server.empty_database()
    directories = [str(Path(redis_url.removeprefix("unix://")).parent)]
    directories += re.findall(r"host=([^&]+)", database_url)
    for directory in directories:
        os.chmod(directory, 0o755)  # theirs is another user than the container's
    environ = {
        "JOBRESULTS_ENVIRONMENT": "production",
        "JOBRESULTS_REDIS__URL": redis_url,
        "JOBRESULTS_DATABASE__URL": database_url,
        "JOBRESULTS_WEB__PORT": str(usable_port("127.0.0.1", 0)),
        "JOBRESULTS_TASKS__MODULES": json.dumps(["jobresults.tasks.score", "slow_tasks"]),
        "PYTHONPATH": TASKS,
    }
    running = Service(engine, environ, [*directories, TASKS])
    try:
        assert running.run("migrate").wait() == 0
        yield running
    finally:
        running.end()


@pytest.fixture
def web(service: Service) -> Iterator[Container]:
    container = service.run("web")
    eventually(service.is_ready, "the service is ready", within_seconds=60)
    yield container
    service.end()


@pytest.fixture
def session(web: Container) -> Iterator[requests.Session]:
    made = web.execute("jobresults", "api-key", "create", "--client", "acme")
    found = re.search(r"jr_[\w-]+", made)
    assert found is not None, made
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {found[0]}"
        yield session


@pytest.fixture
def worker(service: Service) -> Container:
    return _with_line(service.run("worker"), "serves queues")


def _with_line(container: Container, words: str) -> Container:
    eventually(lambda: words in container.log, words, within_seconds=60)
    return container


def test_the_demo_s_customers_are_scored_and_nothing_is_written_but_to_tmp(
    service: Service, web: Container, worker: Container, session: requests.Session, engine: Engine
) -> None:
    maintenance = _with_line(service.run("maintenance"), "watches queues")
    for sample in SAMPLES:
        body = json.loads(sample.read_text())
        answer = session.post(f"{service.url}/add/{sample.stem}", json=body, timeout=30)
        assert answer.status_code == 202, answer.text
        job_id = answer.json()["job_id"]
        result = session.get(
            f"{service.url}/get_result", params={"job_id": job_id, "wait": 30}, timeout=60
        )
        assert result.status_code == 200, result.text
        assert result.json()["customer"] == sample.stem
    for container in (web, worker, maintenance):
        written = engine("diff", container.name).splitlines()
        made_here = [line for line in written if not _MADE_BY_THE_ENGINE.match(line)]
        assert [line for line in made_here if line[2:] not in _MOUNTED] == []
        assert container.execute("id", "-u").strip() == "10001"
        assert "CapEff:\t0000000000000000" in container.execute("cat", "/proc/1/status")
        container.send("TERM")
        assert container.wait() == 0, container.log
    assert "Traceback" not in web.log + worker.log + maintenance.log


def test_its_root_cannot_be_written(web: Container, engine: Engine) -> None:
    with pytest.raises(AssertionError, match=r"[Rr]ead-only"):
        engine("exec", "--user", "0", web.name, "touch", "/app/config.yaml")


def test_it_tells_its_health(web: Container) -> None:
    # The instruction itself: images in OCI's format have no place for it.
    words = re.sub(r"\\\n", "", (PROJECT / "Dockerfile").read_text())
    command = json.loads(re.findall(r"^HEALTHCHECK .* CMD (\[.*\])$", words, re.M)[0])
    web.execute(*command)
    with pytest.raises(AssertionError):
        web.execute("env", "JOBRESULTS_WEB__PORT=1", *command)


def test_told_to_stop_web_answers_a_request_that_takes_three_seconds(
    service: Service, web: Container, session: requests.Session
) -> None:
    body = json.dumps({"task": "slow", "params": {"seconds": 0}}).encode()
    connection = http.client.HTTPConnection(service.url.removeprefix("http://"), timeout=30)
    connection.putrequest("POST", "/v1/jobs")
    for name, value in {
        "Authorization": session.headers["Authorization"],
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
    }.items():
        connection.putheader(name, str(value))
    connection.endheaders(body[:10])
    time.sleep(0.5)
    web.send("TERM")
    time.sleep(2.5)
    connection.send(body[10:])
    assert connection.getresponse().status == 202
    connection.close()
    assert web.wait() == 0, web.log


def test_told_to_stop_a_worker_finishes_its_job(
    service: Service, web: Container, worker: Container, session: requests.Session
) -> None:
    body = {"task": "slow", "params": {"seconds": 3}}
    job_id = session.post(f"{service.url}/v1/jobs", json=body, timeout=30).json()["job_id"]
    url = f"{service.url}/v1/jobs/{job_id}"

    def job() -> Any:
        return session.get(url, timeout=30).json()

    eventually(lambda: job()["state"] == "running", "it runs")
    worker.send("TERM")
    assert worker.wait() == 0, worker.log
    assert job()["state"] == "succeeded"
    assert job()["attempt"] == 1


def test_no_layer_holds_a_compiler_pip_or_a_secret(engine: Engine) -> None:
    found = engine("run", "--rm", "--entrypoint", "python", IMAGE, "-c", _LOOK)
    assert json.loads(found) == []
    history = engine("history", "--no-trunc", IMAGE)
    assert not re.search(r"password|secret|token", history, re.I)


_LOOK = """
import json, os, shutil, importlib.util
found = [name for name in ("gcc", "cc", "make", "git") if shutil.which(name)]
found += [name for name in ("setuptools", "wheel", "hatchling") if importlib.util.find_spec(name)]
found += [name for name in os.listdir("/opt/jobresults/bin") if name.startswith("pip")]
print(json.dumps(found))
"""
