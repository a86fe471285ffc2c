"""A run while it goes on, on stderr: a live table on a terminal, else a line every 5 s."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import RenderableType

    from jobresults.populate.run import Progress
    from jobresults.populate.tally import Figures

Show = Callable[["Progress"], None]

_LINE_SECONDS = 5.0
_RECENT_SECONDS = 5.0
_MOST_ERRORS = 5


class Rates:
    """How many a second lately, by the figures of some seconds ago."""

    def __init__(self) -> None:
        self._past: list[Figures] = []

    def of(self, figures: Figures) -> tuple[float, float, float]:
        """Accepted, ended and requests."""
        self._past.append(figures)
        while len(self._past) > 2 and (
            figures.elapsed_seconds - self._past[1].elapsed_seconds > _RECENT_SECONDS
        ):
            del self._past[0]
        before = self._past[0]
        seconds = figures.elapsed_seconds - before.elapsed_seconds
        if not seconds:
            return 0.0, 0.0, 0.0
        return (
            (figures.accepted - before.accepted) / seconds,
            (figures.ended - before.ended) / seconds,
            (figures.requests - before.requests) / seconds,
        )


@contextmanager
def shown() -> Iterator[Show]:
    """What to call with the progress, several times a second."""
    if not sys.stderr.isatty():
        yield _lines()
        return
    from rich.console import Console
    from rich.live import Live

    rates = Rates()
    with Live(console=Console(stderr=True), transient=True, auto_refresh=False) as live:
        yield lambda progress: live.update(table(progress, rates), refresh=True)


def line(progress: Progress, rates: Rates) -> str:
    """The progress in one line."""
    figures = progress.figures
    accepted, ended, requests = rates.of(figures)
    parts = [
        f"{figures.elapsed_seconds:.0f} s {progress.phase}",
        f"{figures.accepted:,} accepted ({accepted:,.0f}/s)",
        f"{figures.ended:,} ended ({ended:,.0f}/s)",
        f"{requests:,.0f} requests/s",
    ]
    if "result" in figures.latencies:
        p50, p95, p99 = _quantiles_ms(figures, "result")
        parts.append(f"result p50 {p50} p95 {p95} p99 {p99} ms")
    parts.append(f"{sum(figures.errors.values()):,} errors")
    parts.append(f"{sum(progress.findings.values()):,} wrong")
    return ", ".join(parts)


def _lines() -> Show:
    rates, last = Rates(), [0.0]

    def show(progress: Progress) -> None:
        if time.monotonic() - last[0] >= _LINE_SECONDS:
            last[0] = time.monotonic()
            click.echo(line(progress, rates), err=True)

    return show


def table(progress: Progress, rates: Rates) -> RenderableType:
    """The progress as a terminal shows it."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    figures = progress.figures
    accepted, ended, requests = rates.of(figures)
    head = Table.grid(padding=(0, 3))
    head.add_row(
        f"[bold]{figures.elapsed_seconds:,.0f} s[/] {progress.phase}",
        f"accepted [bold]{figures.accepted:,}[/] {accepted:,.0f}/s",
        f"ended [bold]{figures.ended:,}[/] {ended:,.0f}/s",
        f"open [bold]{figures.open:,}[/]",
        f"requests {requests:,.0f}/s",
    )
    latencies = Table(box=None, padding=(0, 2), header_style="dim")
    latencies.add_column("", min_width=16)
    for name in ("count", "p50 ms", "p95 ms", "p99 ms"):
        latencies.add_column(name, justify="right", min_width=8)
    for name, histogram in figures.latencies.items():
        latencies.add_row(name, f"{histogram.count:,}", *_quantiles_ms(figures, name))
    return Group(
        head,
        latencies,
        Text(f"states   {_counts(figures.states)}"),
        Text(f"errors   {_counts(figures.errors)}", "yellow" if figures.errors else ""),
        Text(
            f"answers  {figures.verified:,} verified, {_counts(dict(progress.findings))} wrong",
            "bold red" if progress.findings else "green",
        ),
    )


def _counts(counts: dict[str, int]) -> str:
    shown = list(counts.items())[:_MOST_ERRORS]
    return ", ".join(f"{count:,} {name}" for name, count in shown) or "none"


def _quantiles_ms(figures: Figures, name: str) -> tuple[str, str, str]:
    histogram = figures.latencies[name]
    p50, p95, p99 = (
        f"{(histogram.quantile(share) or 0) * 1e3:,.1f}" for share in (0.5, 0.95, 0.99)
    )
    return p50, p95, p99
