"""How long things may take, by the manifests; in a rehearsal all of it goes five times as fast."""

from __future__ import annotations

from dataclasses import dataclass

from tests.unit.deployment.rules.rule import Manifest, Overlay, container_of, pod_of

FASTER = 5
# Of what the pod that goes has to serve on, so much passes until every node knows of it.
_LAG_SHARE = 0.75


@dataclass(frozen=True)
class Times:
    """In seconds."""

    pre_stop: float
    graceful_timeout: int
    shutdown_grace: float
    grace: dict[str, float]
    probe_period: dict[str, float]

    @property
    def lag(self) -> float:
        """Until the Service has heard that a pod goes."""
        return self.pre_stop * _LAG_SHARE

    @property
    def settings(self) -> dict[str, str]:
        """What processes have to be told of it."""
        return {
            "WEB__GRACEFUL_TIMEOUT_SECONDS": str(self.graceful_timeout),
            "WORKER__SHUTDOWN_GRACE_SECONDS": str(self.shutdown_grace),
        }


def times_of(overlay: Overlay) -> Times:
    """What an overlay grants, divided by one number.

    Raises:
        AssertionError: it rolls out in another manner than the rehearsal.
    """
    kinds = {workload["metadata"]["name"]: workload for workload in overlay.deployments}
    for workload in kinds.values():
        assert workload["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    settings = overlay.settings
    return Times(
        pre_stop=container_of(kinds["web"])["lifecycle"]["preStop"]["sleep"]["seconds"] / FASTER,
        graceful_timeout=settings.web.graceful_timeout_seconds // FASTER,
        shutdown_grace=settings.worker.shutdown_grace_seconds / FASTER,
        grace={
            name: pod_of(workload)["terminationGracePeriodSeconds"] / FASTER
            for name, workload in kinds.items()
        },
        probe_period={name: _period(workload) / FASTER for name, workload in kinds.items()},
    )


def _period(workload: Manifest) -> float:
    return float(container_of(workload)["readinessProbe"]["periodSeconds"])
