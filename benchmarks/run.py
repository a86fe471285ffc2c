"""Measure this service beside its peers (`make bench`): RESULTS.md, results.json and pictures.

ONLY=jobs (or another part) measures one part and keeps the others' figures, QUICK=1 looks roughly,
BENCH_FULL=0 leaves out the ledger of 10^6 jobs.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import (
    accounts,
    alerts,
    cli,
    growth,
    http,
    jobs,
    latency,
    memory,
    metrics,
    plot,
    report,
    turns,
    waiters,
)
from benchmarks.machine import Machine, machine, server_version
from benchmarks.targets import growth_ratio, verdicts
from jobresults.embedded.redis import find_server

HERE = Path(__file__).parent
PARTS: dict[str, Callable[[Machine], dict[str, Any]]] = {
    "jobs": jobs.measure,
    "turns": turns.measure,
    "latency": latency.measure,
    "http": http.measure,
    "growth": growth.measure,
    "waiters": waiters.measure,
    "memory": memory.measure,
    "alerts": alerts.measure,
    "accounts": accounts.measure,
    "metrics": metrics.measure,
    "cli": cli.measure,
}
_PACKAGES = ("flask", "gunicorn", "gevent", "rq", "redis", "SQLAlchemy", "psycopg")
_FALSE = ("", "0", "no", "false")


def main() -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # or its servers would stay behind
    only, quick = os.environ.get("ONLY", ""), os.environ.get("QUICK", "") not in _FALSE
    full = os.environ.get("BENCH_FULL", "0" if quick else "1") not in _FALSE
    chosen = only.split(",") if only else list(PARTS)
    unknown = [name for name in chosen if name not in PARTS]
    if unknown:
        print(f"no such part: {', '.join(unknown)}; parts: {', '.join(PARTS)}", file=sys.stderr)
        return 2
    results = _earlier() if only else {}
    failed = []
    with (
        tempfile.TemporaryDirectory(prefix="jobresults-bench-", dir="/tmp") as directory,
        machine(Path(directory), quick=quick, full=full) as shared,
    ):
        results["run"] = _run(shared, only, quick)
        for name in chosen:
            print(f"{name}:", flush=True)
            start = time.monotonic()
            try:
                figures = PARTS[name](shared)
            except Exception:  # noqa: BLE001 - the other parts' figures are worth having
                traceback.print_exc()
                failed.append(name)
                continue
            figures |= {key: results["run"][key] for key in ("command", "measured_on")}
            results[name] = figures
            _write(results)
            print(f"  ({time.monotonic() - start:.0f} s)", flush=True)
    for verdict in verdicts(results):
        measured = verdict.measured or "not measured"
        print(f"{'yes' if verdict.met else 'no ':3} {verdict.what}: {measured} ({verdict.wanted})")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _earlier() -> dict[str, Any]:
    file = HERE / "results.json"
    return dict(json.loads(file.read_text())) if file.is_file() else {}


def _run(shared: Machine, only: str, quick: bool) -> dict[str, Any]:
    options = [f"ONLY={only}"] if only else []
    options += ["QUICK=1"] if quick else []
    versions = {
        "Python": platform.python_version(),
        "Redis": server_version(find_server()),
        **({"PostgreSQL": shared.postgresql.version} if shared.postgresql else {}),
        **{name: version(name) for name in _PACKAGES},
    }
    return {
        "command": " ".join(["make bench", *options]),
        "measured_on": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
        "versions": versions,
    }


def _write(results: dict[str, Any]) -> None:
    """After each part, so that a run that is cut short leaves what it found."""
    (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (HERE / "RESULTS.md").write_text(report.markdown(results))
    if "jobs" in results:
        rates = {
            system["name"]: median(system["jobs_per_second"]["1"])
            for system in results["jobs"]["systems"]
            if "1" in system["jobs_per_second"]
        }
        picture = plot.bars(
            "Jobs per second, one worker process", rates, ours="jobresults", unit="jobs/s"
        )
        (HERE / "jobs.svg").write_text(picture)
    if "growth" in results:
        costs = results["growth"]["milliseconds"]
        series = {
            name: [(float(size), growth_ratio(by_size, int(size))) for size in by_size]
            for name, by_size in costs.items()
        }
        title = "Cost of an operation, as a multiple of that in a ledger of 1,000 jobs"
        (HERE / "growth.svg").write_text(plot.lines(title, series, x_name="jobs in the ledger"))


if __name__ == "__main__":
    sys.exit(main())
