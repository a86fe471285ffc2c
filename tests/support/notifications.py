"""Notifications as the relay makes them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from jobresults.alerts.model import Entry, Group, Kind, Links, Notification, Sample, Severity

BEGAN_MS = 1_790_000_000_000
MINUTE_MS = 60_000
JOB_ID = "0199f3c2-7a1b-7c3d-8e4f-0123456789ab"

SAMPLE = Sample(
    title="ValueError",
    message="amount '12,5O' of message 3 is no number",
    logger="jobresults.worker.supervisor",
    frames='  File "score/__init__.py", line 61, in score\n    features = build(messages)\n'
    '  File "score/messages.py", line 88, in parse\n    return Decimal(text)',
    request_id="req-1",
    job_id=JOB_ID,
    task="score",
    queue="default",
    attempt=3,
    customer="acme-bank",
    client="crm",
)
LINKS = Links(
    runbook="https://wiki.example.com/runbooks/score",
    job=f"https://jobs.example.com/jobs/{JOB_ID}",
    sentry="https://sentry.example.com/issues/?query=abc",
    logs="https://logs.example.com/?q=req-1&from=now-1h",
    silence="https://jobs.example.com/v1/silences/link?fingerprint=abc",
)


def group(**changes: Any) -> Group:
    found = Group(
        fingerprint="jobresults|production|ValueError|score.messages:parse",
        severity=Severity.ERROR,
        service="jobresults",
        environment="production",
        count=3,
        first_ms=BEGAN_MS,
        last_ms=BEGAN_MS + 4_000,
        sample=SAMPLE,
        pods={"worker-0": 2, "worker-1": 1},
        versions={"1.4.2": BEGAN_MS},
        job_count=3,
        customer_count=1,
    )
    return replace(found, **changes)


def notification(kind: Kind = Kind.FIRST, **changes: Any) -> Notification:
    """One of a single group: those of `changes` that a Notification or an Entry knows are theirs,
    the others the group's.
    """
    own = {name: changes.pop(name) for name in list(changes) if name in _NOTIFICATION}
    entry = {name: changes.pop(name) for name in list(changes) if name in _ENTRY}
    made = Entry(group(**changes), **{"links": LINKS, "owner": "team-scoring", **entry})
    return Notification(kind, (made,), **own)


_NOTIFICATION = {"slack_channel", "mail_addresses", "note"}
_ENTRY = {"links", "owner", "count_before", "quiet_ms"}


def grown() -> Notification:
    return notification(
        Kind.GROWN, count=120, count_before=3, last_ms=BEGAN_MS + 5 * MINUTE_MS, job_count=97
    )


def resolved() -> Notification:
    last_ms = BEGAN_MS + 40 * MINUTE_MS
    return notification(Kind.RESOLVED, count=120, last_ms=last_ms, quiet_ms=15 * MINUTE_MS)


def digest(problems: int) -> Notification:
    entries = tuple(
        Entry(group(fingerprint=f"f{n}", sample=replace(SAMPLE, title=f"Error{n}")), LINKS)
        for n in range(problems)
    )
    return Notification(Kind.DIGEST, entries)
