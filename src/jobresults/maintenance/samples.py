"""Metrics that are looked up rather than counted: what was found last, as long as that holds."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry

from jobresults.telemetry.metrics import CATALOGUE, Metric, registry_of

Values = Mapping[tuple[str, ...], float]
Found = Mapping[Metric, Values]
"""By metric, by the values of its labels in their order."""

Family = CounterMetricFamily | GaugeMetricFamily


class Samples(Collector):
    """Takes the place of the metrics it is made for. A scrape reads memory alone and sees each look
    whole: what a look did not find is gone, and so is what was found too long ago.
    """

    def __init__(self, metrics: Collection[Metric]) -> None:
        self._declared = [it for it in CATALOGUE if it.metric in metrics]
        self._latest: dict[str, tuple[float, Found]] = {}

    def put(self, look: str, found: Found, *, valid_seconds: float) -> None:
        """What a look has found, in place of what it found before."""
        self._latest[look] = (time.monotonic() + valid_seconds, found)

    def describe(self) -> Iterator[Family]:
        """Called when it is registered."""
        yield from self._families([])

    def collect(self) -> Iterator[Family]:
        """Called by each scrape."""
        now = time.monotonic()
        yield from self._families(
            [found for until, found in [*self._latest.values()] if now < until]
        )

    def _families(self, valid: Collection[Found]) -> Iterator[Family]:
        for it in self._declared:
            kind = CounterMetricFamily if it.kind == "counter" else GaugeMetricFamily
            family = kind(it.name, it.help, labels=it.labels)
            for found in valid:
                for labels, value in found.get(it.metric, {}).items():
                    family.add_metric(labels, value)
            yield family

    def registry(self) -> CollectorRegistry:
        """What maintenance exports, with these samples."""
        registry = registry_of("maintenance")
        for it in self._declared:
            registry.unregister(it.metric)
        registry.register(self)
        return registry
