"""What maintenance exports: what it counts itself, from 0 on, and what it looks up."""

from __future__ import annotations

from collections.abc import Sequence

from jobresults.alerts.relay import Heart
from jobresults.database import open_database
from jobresults.jobs.catalog import Catalog
from jobresults.maintenance.looks import SAMPLED, looks_of
from jobresults.maintenance.sampler import Sampler
from jobresults.maintenance.samples import Samples
from jobresults.redis_store import connect
from jobresults.settings import Settings
from jobresults.telemetry import metrics, metrics_server
from jobresults.telemetry.pulse import Pulse

OUTCOMES = ("canceled", "worker_lost")


class Exports:
    """`/metrics` and the probes, from now on; what is looked up for them, once it is started."""

    def __init__(
        self,
        settings: Settings,
        catalog: Catalog,
        queues: Sequence[str],
        heart: Heart,
        pulse: Pulse,
    ) -> None:
        """Raises ConfigurationError: the port cannot be listened on."""
        begin_counting(catalog)
        samples = Samples(SAMPLED)
        metrics_server.serve(settings.metrics, "maintenance", samples.registry(), pulse)
        # Connections of its own: it must not be kept waiting for one, nor keep a duty waiting.
        database = open_database(settings.database.model_copy(update={"pool_size": 1}))
        looks = looks_of(
            database, connect(settings.redis), settings, queues, lambda: heart.beat_at_seconds
        )
        self._sampler = Sampler(samples, looks, settings.maintenance.sweep_seconds)
        self._is_looking = False

    def start(self) -> None:
        """Look things up in the background, as often as maintenance sweeps."""
        self._is_looking = True
        self._sampler.start()

    def stop(self) -> None:
        """Look no more."""
        if self._is_looking:
            self._sampler.stop()


def begin_counting(catalog: Catalog) -> None:
    """Make the series of all that may be counted here of jobs."""
    for task in catalog:
        metrics.begin_at_zero(metrics.JOBS_ENDED, [task.name], [task.options.queue], OUTCOMES)
        metrics.begin_at_zero(metrics.JOB_ATTEMPTS_RETRIED, [task.name], ["worker_lost"])
    metrics.begin_at_zero(metrics.REDISPATCHED, ["lost"])
