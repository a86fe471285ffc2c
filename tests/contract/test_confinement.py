"""A service whose processes may do in Redis what they need and no more, and that keeps its secrets
to itself.
"""

from __future__ import annotations

import logging
import re
import socket
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
import redis
from pydantic import SecretStr

from jobresults.alerts.process import ProcessAlerts
from jobresults.alerts.transport import RedisTransport
from jobresults.settings import RedisSettings, Settings
from tests.services.process import eventually
from tests.services.redis_server import RedisServer
from tests.services.stack import PROJECT, Shape, Stack
from tests.services.stacks import StartStack

JSON = {"Content-Type": "application/json"}
USERS = ("web", "worker", "maintenance")
# Each stands where a secret does. None may come out anywhere.
CANARIES = {name: f"canary-password-of-{name}" for name in USERS}
DATABASE_CANARY = "canary-password-of-the-database"
SENTENCE = "canary sentence of a customer"
FORGED = "jr_0123456789ab_canaryCanaryCanaryCanaryCanaryCanaryCanary1"


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="module")
def confined(start_stack: StartStack, start_redis: Callable[[], RedisServer], logs: Path) -> Stack:
    """Each process as the Redis user that `docs/redis-users.acl` names for it."""
    server = start_redis()
    with server.client() as admin:
        for line in users():
            admin.execute_command("ACL", "SETUSER", *line.split()[1:])
        admin.execute_command("ACL", "LOG", "RESET")
    path = quote(server.url.removeprefix("unix://"))
    urls = {name: f"unix://{name}:{CANARIES[name]}@{path}" for name in USERS}
    shape = Shape(
        settings={"LOGGING__DIRECTORY": str(logs), "LOGGING__LEVEL": "debug"},
        of_process={name: {"REDIS__URL": url} for name, url in urls.items()},
    )
    return start_stack(shape, redis=server)


def users() -> list[str]:
    """The documented users, with our passwords. The default one stays: it is our own way in."""
    text = (PROJECT / "docs/redis-users.acl").read_text()
    lines = re.sub(r"change-me-(\w+)", lambda name: CANARIES[name[1]], text).splitlines()
    assert lines[0] == "user default off"
    return lines[1:]


def test_a_confined_service_does_all_its_work(confined: Stack) -> None:
    eventually(
        lambda: confined.request("GET", "/status").json()["workers"].get("default") == 1,
        "the worker is in RQ's register",
    )
    job_id = confined.run("echo", {"value": SENTENCE})
    assert confined.job(job_id)["result"] == SENTENCE
    assert confined.ended(confined.submit("fails"))["attempt"] == 2  # maintenance dispatched it
    canceled = confined.submit("unserved")
    assert confined.request("POST", f"/v1/jobs/{canceled}/cancel").status_code == 200
    seen = confined.request("GET", "/v1/workers", key=confined.operator_key).json()["workers"]
    assert [worker["queues"] for worker in seen] == [["default"]]
    with confined.redis.client() as admin:
        lacking = admin.execute_command("ACL", "LOG")
        assert [(entry[b"username"], entry[b"object"]) for entry in lacking] == []
        users_seen = {client["user"] for client in admin.client_list()}
    assert set(USERS) <= users_seen


@pytest.mark.parametrize("user", USERS)
def test_each_process_can_hand_over_its_alerts(confined: Stack, user: str) -> None:
    path = quote(confined.redis.url.removeprefix("unix://"))
    url = SecretStr(f"unix://{user}:{CANARIES[user]}@{path}")
    alerts = ProcessAlerts()
    alerts.send_through(RedisTransport(Settings(redis=RedisSettings(url=url))))
    members = {"name": user, "levelno": logging.ERROR, "msg": f"told by {user}"}
    alerts.count(logging.makeLogRecord(members))
    assert alerts.flush(10)
    listed = confined.request("GET", "/v1/alerts", key=confined.operator_key).json()["alerts"]
    assert f"told by {user}" in {alert["title"] for alert in listed}


@pytest.mark.parametrize("user", USERS)
def test_nothing_else_in_redis_is_open_to_a_process(confined: Stack, user: str) -> None:
    with redis.Redis(
        unix_socket_path=confined.redis.url.removeprefix("unix://"),
        username=user,
        password=CANARIES[user],
    ) as client:
        for command in (
            "CONFIG GET *",
            "CONFIG SET dir /tmp",
            "DEBUG SLEEP 0",
            "MODULE LIST",
            "FLUSHALL",
            "KEYS *",
            "SAVE",
            "REPLICAOF NO ONE",
            "ACL LIST",
            "MONITOR",
            "SHUTDOWN NOSAVE",
            "SLAVEOF a 1",
            "MIGRATE a 1 k 0 1",
            "CLIENT KILL TYPE normal",
            "CLIENT LIST",
            "INFO server",
            "GET other:key",
            "PUBLISH other:channel text",
        ):
            with pytest.raises(redis.exceptions.NoPermissionError):
                client.execute_command(*command.split())
        with pytest.raises(redis.exceptions.ResponseError, match=r"can.t access|permissions"):
            client.eval("return redis.call('GET', 'other:key')", 0)


def test_no_secret_comes_out_anywhere(confined: Stack, logs: Path) -> None:
    told = provoke(confined)
    # A database that refuses its password or is away; told by whoever asks for it.
    confined.start_process("maintenance-9", settings={"DATABASE__URL": away()})
    eventually(
        lambda: "the ledger does not answer" in confined.processes["maintenance-9"].log(),
        "it is away",
    )

    files = [path for path in logs.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"access.log"}
    sinks = {
        "answers": told,
        "console": "".join(process.log(1_000_000) for process in confined.processes.values()),
        "files": "".join(path.read_text() for path in files),
        "ps": command_lines(confined),
    }
    assert all(sinks.values())
    secrets = {confined.key, FORGED, DATABASE_CANARY, *CANARIES.values()}
    for sink, text in sinks.items():
        found = {secret for secret in secrets if secret in text}
        assert not found, f"{sink}: {found}"
    for sink in ("console", "files", "ps"):
        assert SENTENCE not in sinks[sink], sink


def provoke(stack: Stack) -> str:
    """All kinds of answers, from requests that hold secrets everywhere."""
    answers = [
        stack.request("GET", f"/nope?token={stack.key}"),
        stack.request("GET", "/v1/tasks", key=FORGED),
        stack.request("GET", "/v1/tasks", headers={"Authorization": f"Basic {FORGED}"}),
        stack.request("POST", "/v1/jobs", json={"task": "typed", "params": {"x": SENTENCE}}),
        stack.request("POST", "/v1/jobs", data=f'{{"a": "{SENTENCE}"', headers=JSON),
        stack.request("GET", "/v1/jobs", params={"limit": FORGED}),
        stack.request("GET", f"/get_result?job_id={stack.run('fails')}&k={stack.key}"),
    ]
    with socket.create_connection(("127.0.0.1", stack.port), timeout=30) as caller:
        # No colon: the parser's complaint quotes the line.
        caller.sendall(
            f"GET /s?k={FORGED} HTTP/1.1\r\nAuthorization Bearer {FORGED}\r\n\r\n".encode()
        )
        caller.recv(65_536)
    assert {answer.status_code for answer in answers} == {400, 401, 404, 424}
    return "".join(f"{answer.headers} {answer.text}" for answer in answers)


def away() -> str:
    return f"postgresql://jobresults:{DATABASE_CANARY}@127.0.0.1:1/jobresults"


def command_lines(stack: Stack) -> str:
    """As every user of the machine sees them."""
    ours = {process.pid for process in stack.processes.values()}
    processes = [psutil.Process(pid) for pid in ours if psutil.pid_exists(pid)]
    everyone = [*processes, *(child for one in processes for child in one.children(recursive=True))]
    return "\n".join(" ".join(process.cmdline()) for process in everyone)
