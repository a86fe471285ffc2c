"""Machines whose clocks are wrong: leases go by the ledger's clock alone."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.faults.conftest import Effects
from tests.faults.workers import await_heartbeats, running_worker, story
from tests.services.ledger import POSTGRESQL
from tests.services.process import eventually
from tests.services.stack import Stack


@pytest.fixture(scope="module")
def libfaketime() -> Path:
    found = next(iter(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)
    if found is None:
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing("needs libfaketime: apt-get install faketime")
    return found


def skewed(libfaketime: Path, seconds: int) -> Mapping[str, str]:
    """Variables that put a process's clock off. Intervals stay right, as on a real machine.

    The monotonic clock is off as well, which nobody notices; told to leave it alone, libfaketime
    0.9.10 breaks `time.sleep`.
    """
    return {"LD_PRELOAD": str(libfaketime), "FAKETIME": f"{seconds:+}s"}


# SQLite's clock is the one of the machine, which all processes share.
@pytest.mark.parametrize("ledger", [POSTGRESQL], indirect=True)
@pytest.mark.parametrize("seconds", [120, -120])
def test_row_23_clock_two_minutes_off(
    bare_stack: Stack, libfaketime: Path, effects: Effects, gate: Path, seconds: int
) -> None:
    """Row 23: a job that outlives its first lease on such a worker is not begun anew by another.

    Maintenance is off to the other side. Red behind time (-120) if leases are written or compared
    with the process's own clock, as RQ's heartbeats are.
    """
    name = "maintenance-skewed"
    with running_worker(bare_stack, environ=skewed(libfaketime, seconds)):
        told = bare_stack.job(bare_stack.run("tells_the_time"))["result"]
        assert abs(told - time.time() - seconds) < 60, "the clock is off"
        bare_stack.start_process(name, environ=skewed(libfaketime, -seconds))
        eventually(bare_stack.is_ready, "both maintenance processes watch")
        job_id = bare_stack.submit("leaves_a_mark", effects.params(gate))
        eventually(lambda: job_id in effects.by_job, "the job runs")
        with running_worker(bare_stack):
            await_heartbeats(bare_stack, job_id, 5)
            gate.touch()
            assert bare_stack.ended(job_id)["result"] == 1
    assert bare_stack.processes.pop(name).stop() == 0
    assert effects.by_job == {job_id: [1]}
    assert story(bare_stack, job_id) == ["submitted", "started", "succeeded"]
