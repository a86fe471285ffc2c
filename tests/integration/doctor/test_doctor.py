"""`jobresults doctor` against real services, right and wrong ones."""

from __future__ import annotations

import json
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from jobresults.cli.main import main
from jobresults.configuration import salvage_settings
from jobresults.database import migrate
from jobresults.doctor import alerting, clocks, configuration, ledger, processes, redis, sqlite
from jobresults.doctor.examination import examine
from jobresults.doctor.findings import Check, Finding, Level, Subject
from jobresults.settings import Settings
from tests.integration.driver import Driver, on_sqlite
from tests.integration.worker.service import MODULES, Service
from tests.services.postgresql_server import PostgresqlServer
from tests.services.process import eventually
from tests.services.redis_server import RedisServer
from tests.services.slack_server import SlackServer
from tests.services.smtp_server import Certificate, SilentSmtpServer, StartSmtp

SECRET = "canarySecretOfTheDoctor"
NOBODY = "redis://user:" + SECRET + "@127.0.0.1:1/0"


def looked(check: Check, seconds: float = 30, **settings: Any) -> dict[str, Finding]:
    """What a check finds, by its names; of several with one name the worst."""
    return looked_at(Subject(Settings.model_validate(settings)), check, seconds)


def looked_at(subject: Subject, check: Check, seconds: float = 30) -> dict[str, Finding]:
    found = sorted(
        examine(subject, seconds, [("check", check)]), key=lambda it: list(Level).index(it.level)
    )
    return {it.name: it for it in found}


def levels(found: dict[str, Finding]) -> dict[str, str]:
    return {name: it.level.value for name, it in found.items()}


@contextmanager
def configured(server: RedisServer, **options: str) -> Iterator[None]:
    """The Redis that all tests share, with other options for a while."""
    with server.client() as client:
        names = {name: name.replace("_", "-") for name in options}
        before = {names[name]: client.config_get(names[name])[names[name]] for name in options}
        for name, value in options.items():
            client.config_set(names[name], value)
        try:
            yield
        finally:
            for name, value in before.items():
                client.config_set(name, value)


def test_a_redis_without_persistence_is_a_warning(redis_server: RedisServer) -> None:
    found = looked(redis.check, redis={"url": redis_server.url})
    assert levels(found) == {
        "redis.reachable": "ok",
        "redis.version": "ok",
        "redis.maxmemory_policy": "ok",
        "redis.memory": "ok",
        "redis.persistence": "warning",
        "redis.commands": "ok",
    }
    assert "after a restart jobs are dispatched anew" in found["redis.persistence"].text
    with configured(redis_server, save="3600 1"):
        found = looked(redis.check, redis={"url": redis_server.url})
    assert found["redis.persistence"].text.startswith("snapshots alone")


def test_a_redis_that_evicts_is_an_error(redis_server: RedisServer) -> None:
    with configured(redis_server, maxmemory_policy="allkeys-lru", maxmemory="1gb"):
        found = looked(redis.check, redis={"url": redis_server.url})
    assert found["redis.maxmemory_policy"].level is Level.ERROR
    assert "maxmemory-policy noeviction" in found["redis.maxmemory_policy"].remedy


def test_a_redis_whose_memory_is_full_is_an_error(redis_server: RedisServer) -> None:
    with configured(redis_server, maxmemory="1000"):
        found = looked(redis.check, redis={"url": redis_server.url})
    assert found["redis.memory"].level is Level.WARNING
    assert found["redis.commands"].level is Level.ERROR
    assert "it refuses SET: " in found["redis.commands"].text


def test_a_user_of_redis_without_rights_is_told_which(redis_server: RedisServer) -> None:
    rules = ["+@all", "-@dangerous", "-publish", "-eval", "allkeys", "resetchannels"]
    with redis_server.client() as client:
        client.execute_command("ACL", "SETUSER", "poor", "on", f">{SECRET}", *rules)
        url = redis_server.url.replace("unix://", f"unix://poor:{SECRET}@")
        try:
            found = looked(redis.check, redis={"url": url})
            wrong = looked(redis.check, redis={"url": url.replace(SECRET, "other")})
        finally:
            client.execute_command("ACL", "DELUSER", "poor")
    assert "EVAL, PUBLISH, SUBSCRIBE" in found["redis.commands"].text
    assert {found["redis.memory"].level, found["redis.persistence"].level} == {Level.WARNING}
    assert levels(wrong) == {"redis.reachable": "error"}
    assert wrong["redis.reachable"].remedy.startswith("mend user and password")


def test_one_dead_dependency_hides_no_other(tmp_path: Path) -> None:
    subject = Subject(
        Settings.model_validate(
            {
                "redis": {"url": NOBODY},
                "database": {"url": f"postgresql://me:{SECRET}@127.0.0.1:1/none"},
                "sentry": {"dsn": f"http://{SECRET}@127.0.0.1:1/1"},
                "alerts": {
                    "slack": {"webhook_url": f"https://127.0.0.1:1/services/{SECRET}"},
                    "email": {"host": "127.0.0.1", "port": 1, "to_addresses": ["a@example.com"]},
                },
            }
        ),
        problems=("web.prot: unknown key",),
    )
    found = examine(subject, 30)
    bad = {it.name for it in found if it.level is Level.ERROR}
    dead = {"redis.reachable", "database.reachable", "sentry", "alerts.slack", "alerts.email"}
    assert bad == {"configuration", *dead}
    assert {"versions.python", "versions.installed", "tasks"} <= {it.name for it in found} - bad
    assert all(it.remedy for it in found if it.level is not Level.OK)
    assert SECRET not in repr(found)


def test_a_dependency_that_keeps_silent_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        found = looked(redis.check, 30, redis={"url": url})
        assert "TimeoutError" in found["redis.reachable"].text
        assert levels(looked(redis.check, 0.2, redis={"url": url})) == {"check.unfinished": "error"}


def test_a_check_that_fails_is_a_finding() -> None:
    def broken(_subject: Subject) -> Iterator[Finding]:
        yield Finding(Level.OK, "first", "well")
        raise LookupError(f"password={SECRET}")

    found = examine(Subject(Settings()), 30, [("broken", broken), ("alerts", alerting.check)])
    assert [it.name for it in found] == ["first", "broken.failed", "alerts"]
    assert found[1].text == "the check itself failed: LookupError: password=[hidden]"


def test_a_ledger_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/none.db"
    found = looked(ledger.check, database={"url": url})
    assert levels(found) == {"database.reachable": "error"}
    assert "jobresults migrate" in found["database.reachable"].remedy
    assert looked(processes.check_maintenance, database={"url": url}) == {}
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_never_migrated_is_left_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE other (a)")
    connection.close()
    before = file.read_bytes()
    found = looked(ledger.check, database={"url": f"sqlite:///{file}"})
    assert found["database.journal"].level is Level.WARNING
    assert found["database.schema"].level is Level.ERROR
    assert found["database.schema"].remedy == "run: jobresults migrate"
    assert file.read_bytes() == before


@on_sqlite
@pytest.mark.parametrize(
    ("revision", "level", "said"),
    [
        ("0001", Level.ERROR, "this release needs"),
        ("9999", Level.WARNING, "newer than this release's"),
        (None, Level.OK, "which is this release's"),
    ],
)
def test_the_schema_is_held_against_this_release(
    tmp_path: Path, database_url: str, revision: str | None, level: Level, said: str
) -> None:
    file = tmp_path / "copy.db"
    settings = Settings.model_validate({"database": {"url": f"sqlite:///{file}"}})
    migrate(settings.database)
    if revision is not None:
        connection = sqlite3.connect(file)
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
        connection.commit()
        connection.close()
    found = looked(ledger.check, database={"url": f"sqlite:///{file}"})
    assert found["database.schema"].level is level
    assert said in found["database.schema"].text
    rest = {name: word for name, word in levels(found).items() if name != "database.schema"}
    assert set(rest.values()) == {"ok"}
    assert set(rest) >= {"database.reachable", "database.journal", "database.disk"}


def test_a_full_disk_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "ledger.db"
    file.touch()
    watch = {"watch": {"disk_share": 0.000001}}
    found = looked(ledger.check, database={"url": f"sqlite:///{file}"}, alerts=watch)
    assert found["database.disk"].level is Level.ERROR


@pytest.mark.parametrize(
    ("path", "kind"), [("/data/l.db", "nfs4"), ("/data/disk/l.db", "ext4"), ("/l.db", "overlay")]
)
def test_the_file_system_of_a_path_is_that_of_its_mount(
    tmp_path: Path, path: str, kind: str
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 1 0:1 / / rw,relatime shared:1 - overlay overlay rw\n"
        "36 22 0:52 / /data rw - nfs4 server:/export rw\n"
        "40 36 8:1 / /data/disk rw,noatime master:1 - ext4 /dev/sda1 rw\n"
    )
    assert sqlite.file_system(Path(path), mounts) == kind


@pytest.mark.postgresql
def test_postgresql_is_asked_for_its_schema_and_durability(
    postgresql_server: PostgresqlServer,
) -> None:
    url = postgresql_server.empty_database()
    found = looked(ledger.check, database={"url": url})
    assert found["database.schema"].level is Level.ERROR
    # The tests' server is set up to lose what a crash leaves.
    assert found["database.durability"].level is Level.ERROR
    assert "fsync off" in found["database.durability"].text
    found = looked(ledger.check, database={"url": postgresql_server.ledger()})
    assert {name for name, word in levels(found).items() if word == "ok"} == {
        "database.reachable",
        "database.version",
        "database.connections",
        "database.schema",
    }
    found = looked(ledger.check, database={"url": url.replace("/test_", "/nothing_")})
    assert levels(found) == {"database.reachable": "error"}


@pytest.mark.postgresql
def test_clocks_that_differ_are_told(
    postgresql_server: PostgresqlServer, redis_server: RedisServer
) -> None:
    database, server = {"url": postgresql_server.ledger()}, {"url": redis_server.url}
    settings = Settings.model_validate({"database": database, "redis": server})
    behind = Subject(settings, clock=lambda: time.time() - 90)
    found = examine(behind, 30, [("clocks", clocks.check)])
    assert [it.level.value for it in found] == ["error", "error", "ok"]
    assert found[0].text == "Redis is 90.0 s ahead of this machine"
    assert found[1].text == "the database is 90.0 s ahead of this machine"
    slightly = Subject(settings, clock=lambda: time.time() + 2)
    found = examine(slightly, 30, [("clocks", clocks.check)])
    assert [it.level.value for it in found] == ["warning", "warning", "ok"]
    assert "behind" in found[0].text


def of_service(service: Service, **environ: str) -> Subject:
    """The installation that a service is, with some settings changed."""
    chosen = {f"JOBRESULTS_{name}": value for name, value in environ.items()}
    settings, problems = salvage_settings(environ={**service._environ, **chosen})
    assert not problems
    return Subject(settings)


@on_sqlite
def test_workers_and_maintenance_are_found(shared_service: Service) -> None:
    subject = of_service(shared_service)
    eventually(lambda: shared_service.registered_workers == 1, "the worker serves")

    def alive() -> bool:
        return looked_at(subject, processes.check_maintenance)["maintenance"].level is Level.OK

    eventually(alive, "maintenance has let itself be seen")
    found = examine(subject, 30, [("workers", processes.check_workers)])
    assert [(it.level.value, it.text) for it in found] == [
        ("ok", "queue default: 1 worker"),
        ("error", "no worker serves queue unserved, which unserved would run in"),
    ]
    more = of_service(
        shared_service, TASKS__MODULES=json.dumps([*MODULES, "jobresults.tasks.score"])
    )
    found = examine(more, 30, [("workers", processes.check_workers)])
    assert found[0].text == "no worker of queue default knows score"


@on_sqlite
def test_what_maintenance_left_undone_is_found(service: Service, driver: Driver) -> None:
    subject = of_service(service)
    assert looked_at(subject, processes.check_maintenance)["maintenance"].level is Level.ERROR
    started = driver.start("echo")
    driver.alter(started.id, lease_until_ms=driver.now_ms() - 60_000)
    found = looked_at(subject, processes.check_maintenance)
    assert found["maintenance.overdue"].text.startswith(
        "the lease of a running job is over since 6"
    )


def test_alert_sinks_are_reached_and_nothing_is_sent(
    slack_server: SlackServer, start_smtp: StartSmtp, certificate: Certificate, monkeypatch: Any
) -> None:
    smtp = start_smtp("starttls", login=True)
    slack = {"webhook_url": slack_server.webhook_url}
    email = {"host": "127.0.0.1", "port": smtp.port, "to_addresses": ["a@example.com"]}
    found = looked(alerting.check, alerts={"slack": slack, "email": email})
    assert levels(found) == {"alerts.slack": "ok", "alerts.email": "error"}
    assert "its certificate is not valid" in found["alerts.email"].text
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
    found = looked(alerting.check, alerts={"slack": slack, "email": email})
    assert levels(found) == {"alerts.slack": "ok", "alerts.email": "ok"}
    assert slack_server.requests == []
    assert smtp.messages == []
    secure = {"webhook_url": slack_server.webhook_url.replace("http:", "https:")}
    found = looked(alerting.check, alerts={"slack": secure})
    assert "no TLS" in found["alerts.slack"].text
    unknown = {"webhook_url": "https://nowhere.invalid/services/x"}
    found = looked(alerting.check, alerts={"slack": unknown})
    assert "the name is unknown" in found["alerts.slack"].text


def test_a_mail_server_that_never_greets_is_an_error(
    silent_smtp: SilentSmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerting, "_SECONDS", 0.2)
    email = {"host": "127.0.0.1", "port": silent_smtp.port, "to_addresses": ["a@example.com"]}
    assert levels(looked(alerting.check, alerts={"email": email})) == {"alerts.email": "error"}


def test_secrets_that_are_weak_or_lie_open_are_found(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(json.dumps([{"id": "a", "secret": "please-change-me-0123456789abcdefghijk"}]))
    file.chmod(0o644)
    tmp_path.chmod(0o755)
    environ = {"JOBRESULTS_ACCOUNTS__TOKEN_KEYS_FILE": str(file)}

    def found() -> dict[str, Finding]:
        settings, problems = salvage_settings(environ=environ)
        subject = Subject(settings, tuple(problems), environ)
        return looked_at(subject, configuration.check)

    assert levels(found()) == {
        "configuration": "ok",
        "configuration.keys": "error",
        "configuration.files": "warning",
    }
    file.chmod(0o602)
    assert found()["configuration.files"].level is Level.ERROR
    file.chmod(0o440)  # as Kubernetes mounts it
    file.chmod(0o600)
    file.write_text(json.dumps([{"id": "a", "secret": "0123456789abcdef" * 2}]))
    assert set(levels(found()).values()) == {"ok"}


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, redis_server: RedisServer
) -> Callable[..., Result]:
    """The command in an empty directory, with a Redis and a ledger that are well."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JOBRESULTS_REDIS__URL", redis_server.url)
    monkeypatch.setenv("JOBRESULTS_DATABASE__URL", f"sqlite:///{tmp_path}/ledger.db")
    return lambda *words: CliRunner().invoke(main, ["doctor", *words])


def test_the_command_prints_a_line_for_each_finding(run: Callable[..., Result]) -> None:
    result = run()
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert {line.split()[0] for line in lines} == {"ok", "warning", "error"}
    assert any(" -> run: jobresults migrate" in line for line in lines)
    assert result.stderr.strip().endswith("errors")


def test_the_command_prints_json_for_programs(run: Callable[..., Result]) -> None:
    body = json.loads(run("--json").stdout)
    assert body["healthy"] is False
    assert body["errors"] == sum(check["level"] == "error" for check in body["checks"]) > 0
    assert {tuple(check) for check in body["checks"]} == {("level", "name", "text", "remedy")}


def test_warnings_fail_only_if_they_are_to(
    run: Callable[..., Result], redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("JOBRESULTS_REDIS__URL", "JOBRESULTS_DATABASE__URL"):
        monkeypatch.delenv(name)
    assert run().exit_code == 0
    assert run("--strict").exit_code == 1
    monkeypatch.setenv("JOBRESULTS_ENVIRONMENT", "production")
    assert run().exit_code == 1
    assert run("--fast").exit_code == 2


def test_a_wrong_configuration_stops_no_check(run: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        f"web: {{prot: 80, port: 8001}}\nredis: {{url: null, pasword: {SECRET}}}\njobs: [1]\n"
    )
    result = run()
    assert (
        "error   configuration: web.prot: unknown key (config.yaml); did you mean" in result.stdout
    )
    assert "error   configuration: redis.pasword: unknown key" in result.stdout
    assert "error   configuration: jobs: must be a section" in result.stdout
    assert "ok      redis.reachable" in result.stdout
    assert SECRET not in result.output
    (tmp_path / "config.yaml").write_text("web: [")
    result = run()
    assert "error   configuration: config.yaml is not valid YAML" in result.stdout
    assert "ok      redis.reachable" in result.stdout


def test_a_test_message_is_sent_if_asked_for(run: Callable[..., Result]) -> None:
    result = run("--send")
    assert "error   alerts.send: there is nowhere to send to" in result.stdout
