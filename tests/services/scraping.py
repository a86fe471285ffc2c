"""What a Prometheus would see at an endpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import requests
from prometheus_client.parser import text_string_to_metric_families

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

    def counts(self) -> Iterator[tuple[Series, float]]:
        """All that must never fall."""
        for series, value in self.samples.items():
            if self.kinds[series[0]] in ("counter", "histogram"):
                yield series, value


def scrape(port: int) -> Scrape:
    """What `GET /metrics` answers now."""
    answer = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10)
    answer.raise_for_status()
    samples, kinds = {}, {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            samples[sample.name, frozenset(sample.labels.items())] = sample.value
            kinds[sample.name] = family.type
    return Scrape(samples, kinds)
