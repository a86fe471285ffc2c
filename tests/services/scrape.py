"""Metrics as Prometheus sees them: of a process's port, or of this very process."""

from __future__ import annotations

from collections.abc import Iterable

import requests
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

Labels = frozenset[tuple[str, str]]


class Scraped:
    """The samples of one scrape, by name and labels."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._samples: dict[tuple[str, Labels], float] = {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }

    def get(self, name: str, **labels: str) -> float | None:
        """`jobresults_<name>` with exactly these labels; None if there is none."""
        return self._samples.get((f"jobresults_{name}", frozenset(labels.items())))

    def all(self, name: str) -> dict[tuple[str, ...], float]:
        """Every series of `jobresults_<name>`, by its labels' values in the order of names."""
        return {
            tuple(value for _, value in sorted(labels)): number
            for (found, labels), number in self._samples.items()
            if found == f"jobresults_{name}"
        }

    def rise(self, before: Scraped, name: str) -> dict[tuple[str, ...], float]:
        """By how much the series of a counter grew since, where they did. All were there."""
        then, now = before.all(name), self.all(name)
        assert now.keys() == then.keys()
        return {labels: now[labels] - then[labels] for labels in now if now[labels] != then[labels]}


def scrape(port: int) -> Scraped:
    """What the process on that port exports."""
    answer = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10)
    assert answer.status_code == 200, answer.text
    return Scraped(text_string_to_metric_families(answer.text))


def collected(*collectors: Collector) -> Scraped:
    """What these hold now."""
    return Scraped(family for collector in collectors for family in collector.collect())
