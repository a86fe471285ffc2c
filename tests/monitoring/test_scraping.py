"""monitoring/prometheus*.yml, compose.yaml: who is scraped, and that it is there."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.monitoring.shipped import MONITORING

PROJECT = MONITORING.parent


def _read(name: str) -> Any:
    return yaml.safe_load((PROJECT / name).read_text())


@pytest.fixture
def overlay() -> dict[str, Any]:
    document: dict[str, Any] = _read("monitoring/compose.yaml")
    return document


def test_configurations_differ_only_in_where_things_are() -> None:
    up, compose = (_read(f"monitoring/{n}") for n in ("prometheus.yml", "prometheus-compose.yml"))
    for configuration in (up, compose):
        del configuration["alerting"]
        for job in configuration["scrape_configs"]:
            job.pop("static_configs", job.pop("dns_sd_configs", None))
    assert up == compose


def test_each_process_of_one_machine_has_the_port_that_up_gives_it() -> None:
    jobs = {
        job["job_name"]: job["static_configs"]
        for job in _read("monitoring/prometheus.yml")["scrape_configs"]
    }
    targets = [target for (config,) in jobs.values() for target in config["targets"]]
    assert targets == [f"127.0.0.1:{port}" for port in range(9100, 9104)]
    assert list(jobs) == ["jobresults-web", "jobresults-maintenance", "jobresults-worker"]


def test_containers_are_scraped_where_they_listen(overlay: dict[str, Any]) -> None:
    base = _read("docker-compose.yaml")["services"]
    for job in _read("monitoring/prometheus-compose.yml")["scrape_configs"]:
        (found,) = job["dns_sd_configs"]
        (name,) = found["names"]
        assert job["job_name"] == f"jobresults-{name}"
        assert name in base
        environment = overlay["services"][name]["environment"]
        assert environment["JOBRESULTS_METRICS__PORT"] == str(found["port"])
        assert environment["JOBRESULTS_METRICS__HOST"] == "0.0.0.0"


@pytest.mark.parametrize("name", ["prometheus", "alertmanager"])
def test_what_watches_is_contained_and_kept_to_this_machine(
    overlay: dict[str, Any], name: str
) -> None:
    service = overlay["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    files = [w.split("=/etc/", 1)[1] for w in service["command"] if w.startswith("--config.file")]
    assert [(MONITORING / file.partition("/")[2]).is_file() for file in files] == [True]
    assert set(service.get("secrets", ())) <= set(_read("docker-compose.yaml")["secrets"])
