"""A release replaces another one, and is replaced by it, while the service is used: nobody is
refused, nothing is lost, nothing is done twice.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from jobresults.schema import schema_revision
from tests.rollout.conftest import Stage
from tests.rollout.releases import CURRENT, Release
from tests.services.process import eventually

pytestmark = [pytest.mark.postgresql, pytest.mark.timeout(300)]

COUNTS = {"web": 2, "worker": 2, "maintenance": 1}
# Longer than a lag, a pause or a job.
SIDE_BY_SIDE_SECONDS = 3


def revision_of(stage: Stage) -> str | None:
    with stage.stack.ledger.read() as connection:
        return schema_revision(connection)


def test_a_rollout_across_a_migration_and_the_way_back_fail_nobody(
    stage: Stage, previous: Release
) -> None:
    """The new processes come before their schema, and wait for it, while the old ones serve on."""
    deployments = stage.deployments
    stage.migrate(previous)
    assert revision_of(stage) == previous.revision
    deployments.run(COUNTS, previous)
    with ThreadPoolExecutor() as threads, stage.callers(previous) as callers:
        rollout = threads.submit(deployments.roll_out, CURRENT)
        for kind in COUNTS:
            eventually(lambda kind=kind: waits_for_schema(stage, kind), f"{kind} waits")
        assert deployments.ended == []
        stage.migrate(CURRENT)
        assert revision_of(stage) == CURRENT.revision
        rollout.result()
        time.sleep(SIDE_BY_SIDE_SECONDS)
        deployments.roll_out(previous)
        time.sleep(SIDE_BY_SIDE_SECONDS)
    print(stage.summary(callers))
    assert callers.failures == []
    assert stage.amiss(callers) == []
    assert len(deployments.ended) == 2 * sum(COUNTS.values())
    assert {pod.name: pod.exit_status for pod in deployments.ended if pod.exit_status != 0} == {}
    assert [line for pod in deployments.ended for line in pod.worries()] == []


def waits_for_schema(stage: Stage, kind: str) -> bool:
    pod = stage.deployments.starting.get(kind)
    return pod is not None and "jobresults migrate" in pod.waits_for
