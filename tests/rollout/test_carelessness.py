"""A rollout that leaves something out is noticed: the rehearsal is not blind."""

from __future__ import annotations

import signal

import pytest

from tests.rollout.conftest import Stage
from tests.rollout.pods import Manner
from tests.rollout.releases import CURRENT

pytestmark = [pytest.mark.postgresql, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def running(stage: Stage) -> Stage:
    """The least that serves, of one release."""
    stage.migrate(CURRENT)
    stage.deployments.run({"web": 2, "worker": 1}, CURRENT)
    return stage


@pytest.mark.parametrize(
    ("manner", "seen"),
    [
        (Manner(pre_stop=False), "Connection"),
        (Manner(last_word=signal.SIGKILL), "Connection"),
        (Manner(awaits_readiness=False), "Connection"),
    ],
    ids=["without a pause before SIGTERM", "killed", "without asking whether it is ready"],
)
def test_a_careless_rollout_fails_callers(running: Stage, manner: Manner, seen: str) -> None:
    deployments = running.deployments
    with running.callers(CURRENT) as callers:
        deployments.replace("web", CURRENT, manner, count=1)
        deployments.await_endings()
    print(running.summary(callers), *callers.failures[:5], sep="\n  ")
    assert any(seen in failure for failure in callers.failures)
