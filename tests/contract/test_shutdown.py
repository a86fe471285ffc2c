"""A web process that is told to stop answers those who wait, and ends well."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import pytest

from tests.services.process import eventually
from tests.services.stack import Shape
from tests.services.stacks import StartStack


@pytest.mark.parametrize("server", ["gunicorn", "pywsgi"])
def test_who_waits_is_answered_before_the_process_ends(
    start_stack: StartStack, gate: Path, server: Literal["gunicorn", "pywsgi"]
) -> None:
    stack = start_stack(Shape(server=server))
    web = stack.processes["web"]
    job_id = stack.running(gate)
    with ThreadPoolExecutor() as threads:
        calls = [
            threads.submit(stack.request, "GET", path)
            for path in (f"/get_result?job_id={job_id}&wait=20", f"/v1/jobs/{job_id}?wait=20")
        ]
        for _ in range(5):  # the one process has taken these requests later than those
            assert stack.request("GET", "/status", key=None).status_code == 200
        assert not any(call.done() for call in calls)
        web.send(signal.SIGTERM)
        assert [call.result().status_code for call in calls] == [202, 200]
        assert calls[1].result().json()["state"] == "running"
    eventually(lambda: not web.is_running, "the process has ended")
    gate.touch()
