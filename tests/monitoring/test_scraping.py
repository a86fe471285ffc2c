"""monitoring/prometheus*.yml: who is scraped."""

from __future__ import annotations

from typing import Any

import yaml

from tests.monitoring.shipped import MONITORING

PROJECT = MONITORING.parent


def _read(name: str) -> Any:
    return yaml.safe_load((PROJECT / name).read_text())


def test_configurations_differ_only_in_where_things_are() -> None:
    containers, up = (
        _read(f"monitoring/{n}") for n in ("prometheus-compose.yml", "prometheus.yml")
    )
    for configuration in (containers, up):
        del configuration["alerting"]
        for job in configuration["scrape_configs"]:
            job.pop("static_configs", job.pop("dns_sd_configs", None))
    assert containers == up


def test_each_process_of_one_machine_has_the_port_that_up_gives_it() -> None:
    jobs = _read("monitoring/prometheus.yml")["scrape_configs"]
    assert [job["job_name"].partition("-")[2] for job in jobs] == ["web", "maintenance", "worker"]
    targets = [target for job in jobs for target in job["static_configs"][0]["targets"]]
    assert targets == [f"127.0.0.1:{port}" for port in range(9100, 9104)]


def test_containers_are_scraped_by_the_names_of_their_services() -> None:
    services = _read("docker-compose.yaml")["services"]
    for job in _read("monitoring/prometheus-compose.yml")["scrape_configs"]:
        (found,) = job["dns_sd_configs"]
        (name,) = found["names"]
        assert job["job_name"] == f"jobresults-{name}"
        assert name in services
