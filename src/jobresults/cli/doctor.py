"""`jobresults doctor`: what is wrong with this installation, and what to do about it."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from jobresults.cli.data_directory import data_dir_option

if TYPE_CHECKING:
    from jobresults.doctor.findings import Finding

_COLORS = {"ok": "green", "warning": "yellow", "error": "bold red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
@click.option("--strict", is_flag=True, help="Exit 1 for warnings, too.")
@click.option(
    "--send", "sends", is_flag=True, help="Also send a test message to Slack and by mail."
)
@click.option(
    "--timeout",
    "timeout_seconds",
    type=click.FloatRange(min=0.1),
    default=10,
    show_default=True,
    metavar="SECONDS",
    help="How long all checks together may take.",
)
@data_dir_option("Where `jobresults up` keeps its data, if it runs here.")
def doctor(
    as_json: bool, strict: bool, sends: bool, timeout_seconds: float, data_dir: Path
) -> None:
    """Check settings, versions, Redis, the database, workers and alerts; say what to mend.

    Works with a wrong configuration and with everything down. Exit codes: 0 nothing worse than
    warnings, 1 errors, 2 wrong usage.
    """
    from jobresults.configuration import PREFIX, salvage_settings
    from jobresults.doctor import alerting
    from jobresults.doctor.examination import cleaned, examine
    from jobresults.doctor.findings import Subject
    from jobresults.embedded.stack import local_environment

    environ = dict(os.environ)
    settings, problems = salvage_settings(environ=environ)
    environ |= local_environment(settings, data_dir)
    settings, problems = salvage_settings(environ=environ)
    file = Path(environ.get(PREFIX + "CONFIG") or "config.yaml")
    subject = Subject(settings, tuple(problems), environ, file if file.is_file() else None)
    found = examine(subject, timeout_seconds)
    if sends:
        found += cleaned(alerting.send(settings, 30.0))
    if as_json:
        _print_json(found)
    else:
        _print(found)
    bad = {"error", "warning"} if strict else {"error"}
    sys.exit(int(any(finding.level in bad for finding in found)))


def _print(found: Sequence[Finding]) -> None:
    if sys.stdout.isatty():
        _print_table(found)
    else:
        for item in found:
            remedy = f" -> {item.remedy}" if item.remedy else ""
            click.echo(f"{item.level:8}{item.name}: {item.text}{remedy}")
    click.echo(_summary(found), err=True)


def _print_table(found: Sequence[Finding]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for item in found:
        words = Text(item.text)
        if item.remedy:
            words.append(f"\n→ {item.remedy}", style="bold")
        table.add_row(Text(item.level, style=_COLORS[item.level]), item.name, words)
    Console().print(table)


def _print_json(found: Sequence[Finding]) -> None:
    counts = Counter(str(item.level) for item in found)
    checks = [
        {"level": item.level, "name": item.name, "text": item.text, "remedy": item.remedy or None}
        for item in found
    ]
    body = {
        "healthy": not counts["error"],
        "errors": counts["error"],
        "warnings": counts["warning"],
        "checks": checks,
    }
    click.echo(json.dumps(body, ensure_ascii=False, indent=2))


def _summary(found: Sequence[Finding]) -> str:
    from jobresults.alerts.phrases import plural

    counts = Counter(str(item.level) for item in found)
    bad = (plural(counts[level], level) for level in ("warning", "error"))
    return ", ".join([f"{counts['ok']} ok", *bad])
