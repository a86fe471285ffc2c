"""What an outage of the ledger does to the leases of those who cannot renew them."""

from __future__ import annotations

import time
from pathlib import Path

from tests.faults.conftest import Effects
from tests.faults.ledgers import Ledger
from tests.faults.workers import lease_until_ms, running_worker, story
from tests.services.process import eventually
from tests.services.stack import Stack

RUNNING = ["submitted", "started"]


def test_row_13_an_outage_longer_than_the_lease_takes_no_job_from_its_worker(
    bare_stack: Stack, ledger: Ledger, effects: Effects, gate: Path
) -> None:
    """Row 13: who could not renew its lease may do so before anyone judges it.

    Red if maintenance takes over expired leases as soon as the ledger answers again.
    """
    with running_worker(bare_stack):
        job_id = bare_stack.submit("leaves_a_mark", effects.params(gate))
        eventually(lambda: job_id in effects.by_job, "the job has its effect")
        with ledger.away():
            over_ms = time.time() * 1000 + 4_000  # the lease has 3 s
            eventually(lambda: time.time() * 1000 > over_ms, "the lease is over")
        eventually(
            lambda: (
                story(bare_stack, job_id) != RUNNING or lease_until_ms(bare_stack, job_id) > over_ms
            ),
            "it is renewed, or judged",
        )
        assert story(bare_stack, job_id) == RUNNING
        gate.touch()
        assert bare_stack.ended(job_id)["result"] == 1
    assert story(bare_stack, job_id) == [*RUNNING, "succeeded"]
    assert effects.by_job == {job_id: [1]}
