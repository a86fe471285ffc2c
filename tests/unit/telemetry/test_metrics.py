"""The catalogue of metrics, and its page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client import generate_latest

from jobresults.telemetry.metrics import (
    CATALOGUE,
    JOBS_SUBMITTED,
    Declared,
    Process,
    begin_at_zero,
    registry_of,
)
from tests.unit.telemetry.conftest import RunPython

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"
# Whoever calls or submits could make up any number of these.
UNBOUNDED = {"job_id", "customer", "client", "path", "fingerprint", "worker", "request_id", "pid"}


def row(declared: Declared) -> str:
    labels = ", ".join(f"`{label}`" for label in declared.labels)
    buckets = " ".join(f"{bucket:.10g}" for bucket in declared.buckets)
    processes = "all" if len(declared.processes) == 3 else ", ".join(declared.processes)
    cells = (f"`{declared.name}`", declared.kind, labels, buckets, processes, declared.help)
    return "| " + " | ".join(cells) + " |"


def test_the_page_lists_the_catalogue() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| `jobresults_")]
    assert rows == [row(declared) for declared in CATALOGUE]


def test_no_label_takes_whatever_callers_make_up() -> None:
    assert not [declared.name for declared in CATALOGUE if UNBOUNDED & set(declared.labels)]


@pytest.mark.parametrize("process", get_args(Process))
def test_a_process_exports_its_part_alone(process: Process) -> None:
    text = generate_latest(registry_of(process)).decode()
    exported = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
    assert exported == {each.name for each in CATALOGUE if process in each.processes}
    assert re.search(rf'^jobresults_build_info{{process="{process}",.*}} 1', text, re.MULTILINE)


def test_series_begin_at_zero() -> None:
    begin_at_zero(JOBS_SUBMITTED, ["zero"], ["here", "there"])
    text = generate_latest(registry_of("web")).decode()
    for queue in ("here", "there"):
        assert f'jobresults_jobs_submitted_total{{queue="{queue}",task="zero"}} 0.0' in text


def test_the_client_does_without_them(run_python: RunPython) -> None:
    done = run_python("import sys, jobresults.client; print('prometheus_client' in sys.modules)")
    assert done.stdout.strip() == "False"
