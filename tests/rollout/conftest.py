"""What rehearsals have: the service on PostgreSQL, without any process of it yet."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import select

from jobresults.jobs.model import job
from tests.rollout.callers import Callers
from tests.rollout.deployments import Deployments
from tests.rollout.releases import CURRENT, Release, before_last_migration
from tests.rollout.service import Service
from tests.rollout.times import Times, times_of
from tests.services.nginx_server import NginxServer
from tests.services.process import eventually
from tests.services.redis_server import RedisServer
from tests.services.stack import Shape, Stack, reserved_port
from tests.unit.deployment.rules.rule import Overlay

WEB_WORKERS = 2
# Production's own, where the stack of the tests is quicker.
SETTINGS = {
    "TASKS__MODULES": '["jobresults.tasks.score", "tests.rollout.work"]',
    "WEBHOOKS__SOURCES": "[]",
    "WORKER__LEASE_SECONDS": "15",
    "WORKER__HEARTBEAT_SECONDS": "5",
    "MAINTENANCE__SWEEP_SECONDS": "2",
    "MAINTENANCE__DISPATCH_LOST_AFTER_SECONDS": "5",
}
_END_SECONDS = 60


@dataclass
class Stage:
    """Where a rehearsal takes place."""

    stack: Stack
    deployments: Deployments
    service: Service
    edge: NginxServer
    effects: Path

    def migrate(self, release: Release) -> None:
        """As its Job does."""
        self.stack.command("migrate", environ=release.environ)

    def callers(self, release: Release) -> Callers:
        """With a key of their own, issued by that release."""
        issue = ("api-key", "create", "--client", "acme")
        key = self.stack.command(*issue, environ=release.environ).strip()
        return Callers(self.service.url, self.edge.url, key, self.effects)

    def amiss(self, callers: Callers) -> list[str]:
        """Jobs that were accepted and did not end as they should: once, with their result."""
        found: dict[str, tuple[str, bytes | None]] = {}

        def all_ended() -> bool:
            with self.stack.ledger.read() as connection:
                rows = connection.execute(select(job.c.id, job.c.state, job.c.result))
                found.update({row.id: (row.state, row.result) for row in rows})
            return all(found[each][0] not in ("queued", "running") for each in callers.accepted)

        eventually(all_ended, "every accepted job has ended", within_seconds=_END_SECONDS)
        starts = self._starts()
        expected = {
            each: ("succeeded", json.dumps(result).encode(), [1])
            for each, result in callers.accepted.items()
        }
        got = {each: (*found[each], starts[each]) for each in expected}
        return [f"{each}: {got[each]}" for each in expected if got[each] != expected[each]]

    def _starts(self) -> dict[str, list[int]]:
        starts: dict[str, list[int]] = defaultdict(list)
        for line in self.effects.read_text().splitlines():
            job_id, attempt = line.split()
            starts[job_id].append(int(attempt))
        return starts

    def summary(self, callers: Callers) -> str:
        """For a terminal."""
        ended = self.deployments.ended
        slowest = max((pod.ending_seconds for pod in ended), default=0.0)
        kinds = Counter(pod.kind for pod in ended)
        return (
            f"{callers.answers.total()} requests answered {dict(callers.answers)}, "
            f"{len(callers.failures)} failed; {len(callers.accepted)} jobs accepted; "
            f"{len(ended)} processes replaced {dict(kinds)}, the slowest in {slowest:.1f} s"
        )


@pytest.fixture(scope="session")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The code from before the last migration."""
    release = before_last_migration(tmp_path_factory.mktemp("old"))
    if release is None:
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing("needs the history before the last migration: git fetch --unshallow")
    assert release.revision < CURRENT.revision
    return release


@pytest.fixture(scope="session")
def times(overlays: dict[str, Overlay]) -> Times:
    """Production's, but faster."""
    return times_of(overlays["production"])


@pytest.fixture(scope="module")
def stage(
    empty_database: Callable[[str], str],
    start_redis: Callable[[], RedisServer],
    start_nginx: Callable[[int], NginxServer],
    times: Times,
) -> Iterator[Stage]:
    directory = Path(tempfile.mkdtemp(prefix="jr-stage-"))
    shape = Shape(web_workers=WEB_WORKERS, settings=SETTINGS | times.settings)
    with reserved_port() as port:
        stack = Stack(empty_database("postgresql"), start_redis(), port, directory, shape)
        service = Service(port, times.lag)
        deployments = Deployments(stack, service, times)
        try:
            yield Stage(stack, deployments, service, start_nginx(port), directory / "effects")
        finally:
            deployments.close()
            service.close()
            stack.ledger.close()
            shutil.rmtree(directory)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test here is a rehearsal, marked before `-m` selects."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.rehearsal)
