"""From a killed worker to a message, through Prometheus and Alertmanager as they are shipped."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitoring.prometheus_rule import RULES
from tests.monitoring.shipped import MONITORING, rules
from tests.services.process import eventually
from tests.services.prometheus_server import Server, find_program, running_server
from tests.services.receiver import Receiver, running_receiver
from tests.services.stack import Shape, Stack
from tests.services.stacks import StartStack

PROCESSES = {"web": "web", "maintenance": "maintenance", "worker-1": "worker"}
WATCHDOG = "JobresultsWatchdog"
SLACK, HEARTBEAT = "/slack", "/heartbeat"


@dataclass(frozen=True)
class Monitored:
    """The service, who watches it, and who is told."""

    stack: Stack
    prometheus: Server
    receiver: Receiver
    ports: dict[str, int]

    def start_worker(self) -> None:
        settings = {"METRICS__PORT": str(self.ports["worker-1"])}
        self.stack.start_process("worker-1", settings=settings)

    def values(self, expression: str) -> list[float]:
        found = self.prometheus.get("/api/v1/query", query=expression)["result"]
        return [float(sample["value"][1]) for sample in found]

    def firing(self) -> set[str]:
        alerts = self.prometheus.get("/api/v1/alerts")["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def told(self, title: str) -> dict[str, Any]:
        """The message in Slack with that title, once it is there."""

        def found() -> dict[str, Any] | None:
            messages = [request.json["attachments"][0] for request in self.receiver.at(SLACK)]
            return next((message for message in messages if message["title"] == title), None)

        return eventually(found, title)


@pytest.fixture(scope="module")
def monitored(
    start_stack: StartStack, free_port: Callable[[], int], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Monitored]:
    for name in ("prometheus", "alertmanager"):
        find_program(name)
    ports = {name: free_port() for name in (*PROCESSES, "prometheus", "alertmanager")}
    directory = tmp_path_factory.mktemp("monitoring")
    own = {kind: {"METRICS__PORT": str(ports[name])} for name, kind in PROCESSES.items()}
    settings = {"TASKS__MODULES": '["jobresults.tasks.score"]', "WEBHOOKS__SOURCES": "[]"}
    stack = start_stack(Shape(settings=settings, of_process=own))
    with (
        running_receiver() as receiver,
        running_server(
            "alertmanager",
            directory,
            ports["alertmanager"],
            f"--config.file={_alertmanager(directory, receiver)}",
            f"--storage.path={directory}/alertmanager",
            "--cluster.listen-address=",
        ),
        running_server(
            "prometheus",
            directory,
            ports["prometheus"],
            f"--config.file={_prometheus(directory, ports)}",
            f"--storage.tsdb.path={directory}/prometheus",
            "--rules.alert.resend-delay=2s",
        ) as prometheus,
    ):
        yield Monitored(stack, prometheus, receiver, ports)


def _prometheus(directory: Path, ports: dict[str, int]) -> Path:
    """As shipped, but every second, and without any patience."""
    (directory / "rules").mkdir()
    for file in RULES:
        document = yaml.safe_load(file.read_text())
        for group in document["groups"]:
            for rule in group["rules"]:
                rule.pop("for", None)
        (directory / "rules" / file.name).write_text(yaml.safe_dump(document))
    configuration = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    for job in configuration["scrape_configs"]:
        kind = job["job_name"].removeprefix("jobresults-")
        own = [ports[name] for name in PROCESSES if PROCESSES[name] == kind]
        job["static_configs"] = [{"targets": [f"127.0.0.1:{port}" for port in own]}]
    (manager,) = configuration["alerting"]["alertmanagers"]
    manager["static_configs"] = [{"targets": [f"127.0.0.1:{ports['alertmanager']}"]}]
    return _written(directory / "prometheus.yml", configuration)


def _alertmanager(directory: Path, receiver: Receiver) -> Path:
    """As shipped, but at once, and with Slack and the dead man's switch on this machine."""
    configuration = yaml.safe_load((MONITORING / "alertmanager.yml").read_text())
    slack = directory / "slack_webhook_url"
    slack.write_text(receiver.url(SLACK))
    configuration["global"] = {"slack_api_url_file": str(slack)}
    for route in (configuration["route"], *configuration["route"]["routes"]):
        route |= {"group_wait": "0s", "group_interval": "1s"}
    for told in configuration["receivers"]:
        told.pop("email_configs", None)
        for webhook in told.get("webhook_configs", ()):
            webhook["url"] = receiver.url(HEARTBEAT)
    return _written(directory / "alertmanager.yml", configuration)


def _written(file: Path, document: dict[str, Any]) -> Path:
    file.write_text(yaml.safe_dump(document))
    return file


def test_a_service_that_is_well_fires_no_alert_and_the_switch_is_held(monitored: Monitored) -> None:
    eventually(lambda: monitored.values("sum(up) == 3"), "Prometheus has seen every counter at 0")
    monitored.stack.run("score", {"messages": []})
    eventually(lambda: monitored.values('jobresults:slo_events:increase5m{slo="jobs"}>0'), "jobs")
    eventually(lambda: monitored.firing() == {WATCHDOG}, "only the watchdog fires")
    (beat, *_) = monitored.receiver.wait(HEARTBEAT)
    assert beat.json["commonLabels"]["alertname"] == WATCHDOG


def test_every_rule_can_be_evaluated(monitored: Monitored) -> None:
    groups = monitored.prometheus.get("/api/v1/rules")["groups"]
    found = [rule for group in groups for rule in group["rules"]]
    assert len(found) == len(list(rules()))
    eventually(lambda: monitored.values('jobresults:slo_failures:ratio5m{slo="wait"}==0'), "waits")
    assert not [rule for rule in found if rule.get("lastError")]


def test_dead_workers_are_told_and_so_is_their_return(monitored: Monitored) -> None:
    eventually(lambda: monitored.values("jobresults:workers:sum==1"), "the worker is counted")
    worker = monitored.stack.processes["worker-1"]
    worker.send(signal.SIGKILL)
    worker.end()
    message = monitored.told("[page] No worker serves queue default")
    assert "No worker has served queue default" in message["text"]
    assert message["title_link"].endswith("/docs/runbooks/no-workers.md")
    monitored.start_worker()
    message = monitored.told("[over] No worker serves queue default")
    assert "Over: No worker serves queue default" in message["text"]
