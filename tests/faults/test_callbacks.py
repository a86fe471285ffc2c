"""Receivers of callbacks that fail in every way, and the death of who delivers them."""

from __future__ import annotations

import json
import secrets
import signal
from collections.abc import Iterator
from datetime import datetime

import pytest

from tests.faults.ledgers import Ledger
from tests.services.process import eventually
from tests.services.receiver import Receiver, Reply, running_receiver
from tests.services.stack import Shape, Stack
from tests.services.stacks import StartStack

# So long a job may take whatever its callback's target does.
PROMPT_SECONDS = 5


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


@pytest.fixture(scope="module")
def stack(ledger: Ledger, start_stack: StartStack, receiver: Receiver) -> Stack:
    settings = {
        "CALLBACKS__ALLOW_HTTP": "true",
        "CALLBACKS__ALLOWED_PORTS": json.dumps([receiver.port]),
        "CALLBACKS__ALLOWED_NETWORKS": '["127.0.0.0/8"]',
        "CALLBACKS__TIMEOUT_SECONDS": "1",
        "CALLBACKS__RETRY_SECONDS": "[0.2, 0.2, 0.2, 0.2, 600]",
        "CALLBACKS__POLL_SECONDS": "0.1",
    }
    return start_stack(Shape(settings=settings), database_url=ledger.url)


def log_of(stack: Stack, job_id: str) -> list[tuple[int | None, str | None]]:
    (found,) = stack.request("GET", f"/v1/jobs/{job_id}/callbacks").json()["callbacks"]
    return [(entry["status"], entry["error"]) for entry in found["log"]]


def test_row_26_a_target_hangs_fails_and_redirects(stack: Stack, receiver: Receiver) -> None:
    """Row 26: each is tried again until the target takes it; the job ends as if nothing was.

    Red if redirects are followed (`/trap` is called), or if a failure is not tried again.
    """
    secret = stack.request("POST", "/v1/callback-secret").json()["secret"]
    trap = {"Location": receiver.url("/trap")}
    replies = [Reply(hangs=True), Reply(500), Reply(302, trap), Reply(200, drips=True), Reply(204)]
    path = f"/fails-{secrets.token_hex(4)}"
    receiver.script(path, *replies)
    job_id = stack.submit("echo", {"value": 1}, callback_url=receiver.url(path))
    job = stack.ended(job_id)
    took = datetime.fromisoformat(job["ended_at"]) - datetime.fromisoformat(job["created_at"])
    assert job["result"] == 1
    assert took.total_seconds() < PROMPT_SECONDS
    requests = receiver.wait(path, 5)
    assert len({request.id for request in requests}) == 1
    assert requests[-1].verified(secret)["data"]["result"] == 1
    eventually(lambda: len(log_of(stack, job_id)) == 5, "the last attempt is noted")
    hung = (None, "no answer within 1 s")
    failed = [(500, "HTTP status 500"), (302, "HTTP status 302")]
    assert log_of(stack, job_id) == [hung, *failed, hung, (204, None)]
    assert receiver.at("/trap") == []
    assert stack.job(job_id)["state"] == "succeeded"


def test_row_26_maintenance_is_killed_in_the_middle_of_a_delivery(
    stack: Stack, receiver: Receiver
) -> None:
    """Row 26: the next process delivers it, under the same id.

    Red if a claim ends the callback instead of moving its time.
    """
    secret = stack.request("POST", "/v1/callback-secret").json()["secret"]
    path = f"/hangs-{secrets.token_hex(4)}"
    receiver.script(path, Reply(hangs=True), Reply(204))
    job_id = stack.submit("echo", callback_url=receiver.url(path))
    receiver.wait(path)
    killed = stack.processes.pop("maintenance")
    killed.stop(signal.SIGKILL)
    stack.start_process("maintenance")
    first, second = receiver.wait(path, 2)
    assert first.id == second.id
    assert second.verified(secret)["data"]["job_id"] == job_id
    eventually(lambda: log_of(stack, job_id) == [(204, None)], "it is noted as delivered")
