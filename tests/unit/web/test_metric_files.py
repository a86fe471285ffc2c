"""Numbers outlive the processes that counted them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from tests.unit.telemetry.conftest import RunPython
from tests.unit.telemetry.conftest import run_python as run_python

# Each takes a slot, counts, and ends without a word, as a killed worker does.
COUNT = """
import os, sys
from pathlib import Path
from jobresults.web import metric_files
metric_files.install()
from jobresults.telemetry import metrics
metrics.JOBS_SUBMITTED.labels("early", "default").inc(2)
metric_files.open_slot(Path(sys.argv[1]), sys.argv[2])
for number in range(int(sys.argv[3])):
    metrics.JOBS_SUBMITTED.labels(f"task-{number}", "default").inc()
metrics.HUB_LAG.observe(0.02)
metrics.HTTP_REQUESTS_IN_PROGRESS.inc(3)
os._exit(0)
"""
MANY = 1_000  # more than fit the first size of a file


def read(directory: Path, name: str, **labels: str) -> float:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(directory))  # type: ignore[no-untyped-call]
    value: Any = registry.get_sample_value(name, labels)
    assert value is not None
    return float(value)


def test_a_slots_next_process_goes_on(run_python: RunPython, tmp_path: Path) -> None:
    for slot in ("0", "1", "0"):
        run_python(COUNT, str(tmp_path), slot, str(MANY))
    submitted = "jobresults_jobs_submitted_total"
    assert read(tmp_path, submitted, task="early", queue="default") == 6
    assert read(tmp_path, submitted, task="task-0", queue="default") == 3
    assert read(tmp_path, submitted, task=f"task-{MANY - 1}", queue="default") == 3
    assert read(tmp_path, "jobresults_gevent_hub_lag_seconds_bucket", le="0.05") == 3
    # What the first had in progress ended with it.
    assert read(tmp_path, "jobresults_http_requests_in_progress") == 6
    assert len(list(tmp_path.iterdir())) == 2 * len({"counter", "gauge", "histogram"})


def test_a_fork_leaves_its_parents_numbers_alone(run_python: RunPython, tmp_path: Path) -> None:
    run_python(
        COUNT.replace(
            "metrics.HUB_LAG",
            "pid = os.fork()\n"
            "if pid == 0: metric_files.open_slot(Path(sys.argv[1]), '7')\n"
            "else: os.waitpid(pid, 0)\n"
            "metrics.JOBS_SUBMITTED.labels('early', 'default').inc()\n"
            "metrics.HUB_LAG",
        ),
        *(str(tmp_path), "master", "1"),
    )
    submitted = "jobresults_jobs_submitted_total"
    assert read(tmp_path, submitted, task="early", queue="default") == 2 + 1 + 1
    assert read(tmp_path, submitted, task="task-0", queue="default") == 1


def test_a_metric_that_was_declared_too_early_is_refused(run_python: RunPython) -> None:
    done = run_python(
        "from jobresults.telemetry import metrics\n"
        "from jobresults.web import metric_files\n"
        "try: metric_files.install()\n"
        "except RuntimeError as error: print(error)"
    )
    assert "jobresults.telemetry.metrics was imported too early" in done.stdout


@pytest.mark.parametrize("kind", ["counter", "gauge_livesum", "histogram"])
def test_a_file_is_readable_from_its_first_moment(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jobresults.web import metric_files

    monkeypatch.setattr(metric_files, "MmapedDict", lambda path: path)
    metric_files.Slot(tmp_path, "0")._open(kind)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(tmp_path))  # type: ignore[no-untyped-call]
    assert list(registry.collect()) == []
