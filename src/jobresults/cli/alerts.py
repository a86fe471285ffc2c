"""Looking at alerts, silencing them, and trying whether they arrive: straight in Redis and the
ledger.
"""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from jobresults.cli.ledger import configured_ledger, rfc3339
from jobresults.cli.tables import Column, Output, moment, output_option, print_rows

if TYPE_CHECKING:
    from jobresults.alerts.listing import Listed, Listing

_STATES = ("open", "silenced", "inhibited", "resolved")
_COLUMNS = (
    Column("fingerprint"),
    Column("state", colors={"open": "red", "resolved": "green"}),
    Column("severity"),
    Column("count", "events", numeric=True),
    Column("last_at", "last event", moment),
    Column("title", shrinks=True),
)


@click.group()
def alerts() -> None:
    """Look at alerts, silence them, try whether they arrive."""


@alerts.command("list")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice(_STATES),
    help="Only alerts in this state; repeat for more.",
)
@click.option("--limit", type=click.IntRange(1, 1_000), default=50, show_default=True)
@output_option
def list_alerts(states: tuple[str, ...], limit: int, output: Output) -> None:
    """List alerts, the one with the latest event first."""
    with opened_listing() as listing:
        found, more = listing.page(states=states, limit=limit)
    rows = [
        {
            "fingerprint": item.tracked.group.fingerprint,
            "state": str(item.state),
            "severity": str(item.tracked.group.severity),
            "count": item.tracked.group.count,
            "last_at": rfc3339(item.tracked.group.last_ms),
            "title": item.tracked.group.sample.title,
        }
        for item in found
    ]
    print_rows(rows, _COLUMNS, output)
    if more is not None:
        click.echo(f"there are more; --limit {limit * 2} shows them", err=True)


@alerts.command()
@click.argument("fingerprint")
def show(fingerprint: str) -> None:
    """Print all that is known of an alert."""
    with opened_listing() as listing:
        item = listing.get(fingerprint)
    for name, text in _details(item):
        if text:
            click.echo(f"{name:12}{text}")
    if frames := item.tracked.group.sample.frames:
        click.echo("\n".join(["", *map(_clean, frames.splitlines())]))


@alerts.command()
@click.option("--fingerprint", help="One alert.")
@click.option("--task", help="Whatever happens to this task's jobs.")
@click.option("--customer", help="What hurts this customer alone.")
@click.option("--for", "ttl", required=True, help="30m, 2h, 1d or seconds; at most 30d.")
@click.option("--reason", default="", help="Why; others will read it.")
def silence(
    fingerprint: str | None, task: str | None, customer: str | None, ttl: str, reason: str
) -> None:
    """Do not tell what matches all that is given, for a while."""
    from jobresults.alerts import silences

    with configured_ledger() as database:
        made = silences.create(
            database,
            fingerprint=fingerprint,
            task=task,
            customer=customer,
            ttl=ttl,
            reason=reason,
            created_by=f"{getpass.getuser()} (by command)",
        )
    click.echo(f"silenced until {_time(made.expires_at_ms)}; to end it sooner:", err=True)
    click.echo(f"jobresults alerts unsilence {made.id}")


@alerts.command()
@click.argument("silence_id")
def unsilence(silence_id: str) -> None:
    """End a silence now."""
    from jobresults.alerts import silences

    with configured_ledger() as database:
        ended = silences.end(database, silence_id, ended_by=f"{getpass.getuser()} (by command)")
    at_ms = ended.expires_at_ms if ended.ended_at_ms is None else ended.ended_at_ms
    click.echo(f"over since {_time(at_ms)}", err=True)


@alerts.command()
@click.option(
    "--timeout",
    "timeout_seconds",
    type=click.FloatRange(min=1),
    default=30,
    show_default=True,
    metavar="SECONDS",
    help="How long it may take to arrive.",
)
def test(timeout_seconds: float) -> None:
    """Send a test message the way of all alerts. Exit 1 if a sink did not get it, or there is
    none.
    """
    from jobresults.alerts.trial import run_trial
    from jobresults.configuration import load_settings

    verdicts = run_trial(load_settings(), timeout_seconds)
    for sink, verdict in verdicts.items():
        click.echo(f"{sink}: {_clean(verdict.text)}")
    tried = [verdict for verdict in verdicts.values() if verdict.text != "not configured"]
    if not tried or not all(verdict.delivered for verdict in tried):
        raise SystemExit(1)


@contextmanager
def opened_listing() -> Iterator[Listing]:
    """The alerts there are, by Redis and the ledger that the settings name.

    Raises:
        ConfigurationError
    """
    from jobresults.alerts.listing import Listing
    from jobresults.alerts.silences import Silences
    from jobresults.configuration import load_settings
    from jobresults.redis_store import connect

    with configured_ledger() as database, connect(load_settings().redis) as redis:
        yield Listing(redis, Silences(database))


def _details(item: Listed) -> Iterator[tuple[str, str]]:
    group, silenced = item.tracked.group, item.silence
    sample = group.sample
    yield "title", _clean(sample.title)
    yield "state", str(item.state)
    if silenced is not None:
        until = _time(silenced.expires_at_ms)
        by, why = _clean(silenced.created_by), _clean(silenced.reason)
        yield "silenced", f"until {until} by {by}: {why} ({silenced.id})"
    yield "severity", str(group.severity)
    yield "events", f"{group.count}, since {_time(group.first_ms)}, last {_time(group.last_ms)}"
    yield "hurt", f"{group.job_count} jobs, {group.customer_count} customers"
    yield "pods", ", ".join(f"{_clean(pod)} ({count})" for pod, count in group.pods.items())
    yield "versions", ", ".join(map(_clean, group.versions))
    for name in ("message", "logger", "task", "queue", "job_id", "customer", "request_id"):
        value = getattr(sample, name)
        yield name, "" if value is None else _clean(value)
    for sink, told in item.tracked.told.items():
        refused = f"; refused: {_clean(told.refusal)}" if told.refusal else ""
        yield f"told {sink}", f"{told.told_count} events at {_time(told.told_ms)}{refused}"


def _time(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}Z"


def _clean(text: str) -> str:
    """What came from outside as one line that commands no terminal."""
    from jobresults.telemetry.control_characters import escape

    return escape(text)
