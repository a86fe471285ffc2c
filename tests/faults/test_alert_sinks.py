"""Slack and the mail server down or hanging: nobody but the relay notices."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from statistics import median

import pytest
from pydantic import SecretStr

from jobresults.alerts.groups import list_groups
from jobresults.redis_store import connect
from jobresults.settings import RedisSettings
from tests.faults.conftest import OwnStack
from tests.services.process import eventually
from tests.services.stack import Shape, Stack, reserved_port

JOBS = 15


@contextmanager
def hanging() -> Iterator[tuple[int, list[socket.socket]]]:
    """A server that accepts and says nothing."""
    accepted: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            with suppress(OSError):
                while True:
                    accepted.append(server.accept()[0])

        threading.Thread(target=accept, daemon=True).start()
        yield server.getsockname()[1], accepted
        server.shutdown(socket.SHUT_RDWR)
        for connection in accepted:
            connection.close()


@contextmanager
def refusing() -> Iterator[tuple[int, list[socket.socket]]]:
    """A port where nobody listens."""
    with reserved_port() as port:
        yield port, []


def sinks_at(port: int) -> dict[str, str]:
    return {
        "ALERTS__GROUP_WAIT_SECONDS": "0",
        "ALERTS__TAKEOVER_SECONDS": "1",
        "ALERTS__SLACK__WEBHOOK_URL": f"http://127.0.0.1:{port}/hook",
        "ALERTS__EMAIL__HOST": "127.0.0.1",
        "ALERTS__EMAIL__PORT": str(port),
        "ALERTS__EMAIL__TLS": "none",
        "ALERTS__EMAIL__TO_ADDRESSES": '["oncall@example.com"]',
    }


def failing_job_seconds(stack: Stack) -> float:
    """The median time of a job from its submission to its failure, which is an alert."""
    durations = []
    for _ in range(JOBS):
        began = time.monotonic()
        job_id = stack.submit("fails", {"message": "boom"}, max_attempts=1)
        assert stack.ended(job_id)["state"] == "failed"
        durations.append(time.monotonic() - began)
    return median(durations)


@pytest.mark.parametrize("sink", [hanging, refusing])
def test_row_27_slack_and_mail_are_down(own_stack: OwnStack, sink: type) -> None:
    """Row 27: jobs and requests take as long as ever and end as they should; the problem stays
    listed, and every process stops in time.

    Red with a handler that posts in `emit`: each failing job waits for Slack's deadline.
    """
    with own_stack() as stack:
        usual_seconds = failing_job_seconds(stack)
    with sink() as (port, accepted), own_stack(Shape(settings=sinks_at(port))) as stack:
        seconds = failing_job_seconds(stack)
        redis = connect(RedisSettings(url=SecretStr(stack.redis.url)))
        eventually(
            lambda: sum(it.group.count for it in list_groups(redis)) >= JOBS, "all are counted"
        )
        if sink is hanging:
            eventually(lambda: len(accepted) >= 2, "Slack and the mail server were tried")
        seconds = max(seconds, failing_job_seconds(stack))
        eventually(
            lambda: redis.hget("jr:alerts:sink:slack", "failing_since_ms"), "Slack counts as failed"
        )
    assert seconds < 5 * usual_seconds + 0.1
