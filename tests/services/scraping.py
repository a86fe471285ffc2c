"""What a Prometheus would see at an endpoint."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import requests
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

Series = tuple[str, frozenset[tuple[str, str]]]


@dataclass(frozen=True)
class Scrape:
    """Every sample, and of which kind its metric is."""

    samples: Mapping[Series, float]
    kinds: Mapping[str, str]

    def __call__(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels. Raises KeyError: there are none."""
        found = [
            value
            for (each, theirs), value in self.samples.items()
            if each == name and labels.items() <= dict(theirs).items()
        ]
        if not found:
            raise KeyError(name, labels)
        return sum(found)

    def labels(self, name: str, label: str) -> set[str]:
        """The values of a label."""
        return {dict(theirs)[label] for each, theirs in self.samples if each == name}

    def get(self, name: str, **labels: str) -> float | None:
        """The sample with exactly these labels; None if there is none."""
        return self.samples.get((name, frozenset(labels.items())))

    def all(self, name: str) -> dict[tuple[str, ...], float]:
        """A metric's samples, by their labels' values in the order of the labels' names."""
        return {
            tuple(value for _, value in sorted(labels)): number
            for (found, labels), number in self.samples.items()
            if found == name
        }

    def rise(self, before: Scrape, name: str) -> dict[tuple[str, ...], float]:
        """By how much a metric's samples grew since, as far as they did. All of them were there."""
        then, now = before.all(name), self.all(name)
        assert now.keys() == then.keys()
        return {labels: now[labels] - then[labels] for labels in now if now[labels] != then[labels]}

    def counts(self) -> Iterator[tuple[Series, float]]:
        """All that must never fall."""
        for series, value in self.samples.items():
            if self.kinds[series[0]] in ("counter", "histogram"):
                yield series, value


def scrape(port: int) -> Scrape:
    """What `GET /metrics` answers now."""
    answer = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10)
    answer.raise_for_status()
    return _scrape_of(text_string_to_metric_families(answer.text))


def collected(*collectors: Collector) -> Scrape:
    """What these would export, in this process."""
    return _scrape_of(family for collector in collectors for family in collector.collect())


def _scrape_of(families: Iterable[Metric]) -> Scrape:
    samples, kinds = {}, {}
    for family in families:
        for sample in family.samples:
            samples[sample.name, frozenset(sample.labels.items())] = sample.value
            kinds[sample.name] = family.type
    return Scrape(samples, kinds)
