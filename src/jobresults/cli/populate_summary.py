"""What a load came to, on stdout."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from jobresults.cli.tables import Column, Output, print_json, print_rows
from jobresults.telemetry.control_characters import escape

if TYPE_CHECKING:
    from jobresults.populate.report import Report

_MOST_NAMED = 20


def print_summary(report: Report, output: Output) -> None:
    """For people what matters, with -o csv the times, else all of it."""
    if output in ("json", "jsonl"):
        print_json(report)
        return
    rows = [{"operation": name, **each} for name, each in report["latencies_ms"].items()]
    names = ("count", "mean", "p50", "p95", "p99", "p999", "max")
    columns = [
        Column("operation", "ms from when it was due"),
        *(Column(name, text=_number, numeric=True) for name in names),
    ]
    if output == "csv":
        print_rows(rows, columns, output)
        return
    jobs = report["jobs"]
    click.echo(
        f"{jobs['accepted']:,} jobs in {report['load_seconds']:,.1f} s: "
        f"{jobs['accepted_per_second']:,}/s accepted, "
        f"{report['requests_per_second']:,} requests/s, "
        f"{report['verified_answers']:,} answers verified (seed {report['options']['seed']})\n"
    )
    print_rows(rows, columns, output)
    click.echo()
    for title, counts in (("jobs", jobs["ended"]), ("errors", report["errors"])):
        click.echo(f"{title:7} {', '.join(f'{n:,} {name}' for name, n in counts.items()) or '-'}")
    named = report["findings"]["named"][:_MOST_NAMED]
    named += [
        {"kind": "unfinished", "job_id": job_id, "detail": "accepted, and has not ended in time"}
        for job_id in report["audit"]["unfinished_job_ids"][:_MOST_NAMED]
    ]
    if named:
        click.echo()
        print_rows(named, [Column("kind"), Column("job_id"), Column("detail")], output)
    verdict = click.style(
        escape(report["verdict"]), fg="red" if report["exit_code"] else "green", bold=True
    )
    click.echo(f"\n{verdict}", color=False if os.environ.get("NO_COLOR") else None)


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"
