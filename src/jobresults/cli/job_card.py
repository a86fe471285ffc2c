"""A job as a card for people."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any

import click

from jobresults.cli.listing import STATE_COLORS
from jobresults.cli.progress import describe
from jobresults.cli.tables import moment
from jobresults.cli.times import between, span
from jobresults.telemetry.control_characters import escape, escape_but_lines, escape_in_json

Job = Mapping[str, Any]
_WIDTH = 12


def print_card(job: Job) -> None:
    """Print what is known of the job, by name."""
    color = False if os.environ.get("NO_COLOR") else None
    for name, text in _entries(job):
        if text:
            first, *more = text.splitlines() or [""]
            click.echo(click.style(f"{name:{_WIDTH}}", bold=True) + first, color=color)
            for line in more:
                click.echo(" " * _WIDTH + line)


def _entries(job: Job) -> Iterator[tuple[str, str]]:
    yield "job", job["job_id"]
    yield "task", escape(job["task"])
    yield "state", _state(job)
    yield "customer", escape(job["customer"] or "")
    yield "queue", escape(job["queue"])
    yield "tags", escape(", ".join(job["tags"]))
    yield "rerun of", job["rerun_of"] or ""
    yield "attempt", f"{job['attempt']} of {job['max_attempts']}" if job["attempt"] else ""
    yield "created", moment(job["created_at"])
    yield "started", _after(job, "started_at", "created_at", "waited")
    yield "ended", _after(job, "ended_at", "started_at", "ran")
    yield "kept until", moment(job["expires_at"]) if job["expires_at"] else ""
    if "error" in job:
        yield "error", _error(job["error"])
        yield "traceback", escape_but_lines(job["error"].get("traceback", ""))
        yield "Sentry", job.get("sentry_event_id") or ""
    if "result" in job:
        yield "result", escape_in_json(json.dumps(job["result"], indent=2, ensure_ascii=False))


def _state(job: Job) -> str:
    state = click.style(job["state"], fg=STATE_COLORS.get(job["state"]))
    if job["done"]:
        return state
    text = state + describe(job).removeprefix(job["state"])
    if job["position"] is not None:
        text += f", at position {job['position']}"
    if job["eta_seconds"] is not None:
        text += f", about {span(job['eta_seconds'])} to go"
    return text


def _after(job: Job, name: str, before: str, did: str) -> str:
    """A moment, and how long after another one it was."""
    if job[name] is None:
        return ""
    seconds = between(job[before], job[name])
    return moment(job[name]) + ("" if seconds is None else f" ({did} {span(seconds)})")


def _error(error: Mapping[str, Any]) -> str:
    retry = "a rerun may help" if error["retryable"] else "a rerun will not help"
    return escape_but_lines(f"{error['title']}: {error['detail']}\n{error['code']}; {retry}")
