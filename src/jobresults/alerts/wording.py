"""What a message says, in words alone: how it looks is the sinks' affair.

Every text that comes from outside has its secrets hidden and its control characters escaped here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from jobresults.alerts.model import Entry, Group, Kind, Links, Notification, Sample, Severity
from jobresults.alerts.phrases import cut, duration, line, moment, plural, times
from jobresults.telemetry.control_characters import escape
from jobresults.telemetry.redaction import hide

MARKS = {Severity.WARNING: "🟠", Severity.ERROR: "🔴", Severity.CRITICAL: "🚨"}
OVER = "✅"
_MARKS_BELOW = re.compile(r"^ +[~^]+ *\n", re.MULTILINE)
_PLUMBING = re.compile(
    r'^  File "[^"\n]*/jobresults/(?:worker/executor|jobs/catalog)\.py".*\n(?:    .*\n)*',
    re.MULTILINE,
)

_TITLE_CHARACTERS = 150
_PODS = 3
_WORST_FIRST = (Severity.CRITICAL, Severity.ERROR, Severity.WARNING)


class Fact(NamedTuple):
    """A line of what is known. `at_ms`: it is a time, which a sink may tell in its own way."""

    label: str
    text: str
    at_ms: int | None = None


class Link(NamedTuple):
    """Where a message leads."""

    label: str
    url: str


def headline(notification: Notification) -> str:
    """The one line that is read on a telephone's lock screen: how bad, what, how much."""
    if notification.kind is Kind.DIGEST:
        return _digest_headline(notification)
    (entry,) = notification.entries
    group = entry.group
    if notification.kind is Kind.TEST:
        return f"🧪 TEST {title(group)} · nothing is broken"
    if notification.kind is Kind.RESOLVED:
        return f"{OVER} {title(group)} over · {times(group.count)}{_within(group)}"
    said = {
        Kind.GROWN: " grows",
        Kind.REGRESSION: " is back",
        Kind.REPEATED: " goes on",
        Kind.NEW_VERSION: f" also in {_newest_version(group)}",
    }.get(notification.kind, "")
    what = f"{MARKS[group.severity]} {group.severity.upper()} {title(group)}{said}"
    return " · ".join([what, *_extent(notification.kind, entry)])


def title(group: Group) -> str:
    """What broke: the task or route it broke in, and how."""
    sample = group.sample
    text, place = line(sample.title, _TITLE_CHARACTERS), sample.task or sample.http_route
    return text if not place or place in text else f"{line(place, 60)}: {text}"


def quiet(entry: Entry) -> str:
    """What is answered in the thread of a problem that is over."""
    return f"quiet for {duration((entry.quiet_ms or 0) / 1000)}"


def note(notification: Notification) -> str | None:
    """Why this message is unlike others."""
    return line(notification.note, 500) if notification.note else None


def facts(entry: Entry) -> list[Fact]:
    """When, where and whom it hurts; nothing that is not known."""
    group, sample = entry.group, entry.group.sample
    service = " · ".join(filter(None, (group.service, group.environment)))
    found = (
        Fact("Count", _count(entry)),
        Fact("Service", line(service)),
        Fact("Since", moment(group.first_ms), group.first_ms),
        Fact("Last seen", moment(group.last_ms), group.last_ms),
        Fact("Version", _version(group)),
        Fact("Pods", _pods(group.pods)),
        Fact("Where", _where(sample)),
        Fact("Hurts", _hurt(group)),
        Fact("Logger", line(sample.logger)),
        Fact("Owner", line(entry.owner or "")),
    )
    return [fact for fact in found if fact.text]


def message(sample: Sample, characters: int) -> str:
    """What was logged, line breaks kept; nothing if the title says it all."""
    text = hide(sample.message).strip()
    if text == sample.title.strip():
        return ""
    return cut("\n".join(map(escape, text.splitlines())), characters)


def frames(sample: Sample) -> str:
    """Where it was raised, innermost last; without what every traceback of a task begins with, and
    without the marks below its lines.
    """
    text = _MARKS_BELOW.sub("", sample.frames)
    text = _PLUMBING.sub("", text) or text
    return "\n".join(map(escape, hide(text).strip("\n").splitlines()))


def links(entry: Entry) -> list[Link]:
    """Where to go from here; addresses that are not of the web are left out."""
    given: Links = entry.links
    job_id = entry.group.sample.job_id
    job = f"Job {job_id[:8]}…" if job_id else "Job"
    all_ = (
        ("Runbook", given.runbook),
        (job, given.job),
        ("Sentry", given.sentry),
        ("Logs", given.logs),
        ("Silence", given.silence),
    )
    return [
        Link(label, escape(url).replace(" ", "%20"))
        for label, url in all_
        if url is not None and url.startswith(("https://", "http://"))
    ]


def summary(entry: Entry) -> str:
    """One problem as a line of a digest."""
    group = entry.group
    return " · ".join([f"{MARKS[group.severity]} {title(group)}", *_extent(Kind.FIRST, entry)])


def _digest_headline(notification: Notification) -> str:
    groups = [entry.group for entry in notification.entries]
    severities = {group.severity for group in groups}
    worst = next(severity for severity in _WORST_FIRST if severity in severities)
    events = sum(group.count for group in groups)
    parts = [f"{MARKS[worst]} {plural(len(groups), 'problem')}", times(events)]
    return " · ".join([*parts, *_services(groups)])


def _services(groups: Iterable[Group]) -> list[str]:
    found = sorted({f"{group.service} {group.environment}".strip() for group in groups})
    return [line(", ".join(found))] if any(found) else []


def _extent(kind: Kind, entry: Entry) -> list[str]:
    group, before = entry.group, entry.count_before
    parts = [times(group.count)]
    if kind is not Kind.FIRST and before is not None and before < group.count:
        parts[0] += f", up from {before:,}"
        if kind is Kind.GROWN:
            return [f"{parts[0]},{_within(group)}".rstrip(",")]
    return [*parts, *filter(None, [_hurt(group)])]


def _within(group: Group) -> str:
    """From the first event to the last; nothing if they came at once."""
    seconds = (group.last_ms - group.first_ms) / 1000
    return f" in {duration(seconds)}" if seconds >= 1 else ""


def _count(entry: Entry) -> str:
    group = entry.group
    text = times(group.count)
    if entry.count_before is not None and entry.count_before < group.count:
        text += f", up from {entry.count_before:,}"
    minutes = (group.last_ms - group.first_ms) / 60_000
    if minutes >= 1:
        text += f" · {group.count / minutes:,.3g} a minute"
    return text


def _hurt(group: Group) -> str:
    jobs = plural(group.job_count, "job") if group.job_count else ""
    customers = plural(group.customer_count, "customer") if group.customer_count else ""
    return " · ".join(filter(None, (jobs, customers)))


def _where(sample: Sample) -> str:
    parts = (
        ("", sample.http_route),
        ("task ", sample.task),
        ("queue ", sample.queue),
        ("attempt ", sample.attempt),
        ("customer ", sample.customer),
        ("client ", sample.client),
    )
    return " · ".join(f"{name}{line(str(value), 100)}" for name, value in parts if value)


def _version(group: Group) -> str:
    """The newest version it was seen in, and whether it came with that."""
    newest = _newest_version(group)
    if newest is None:
        return ""
    if len(group.versions) == 1:
        return f"first seen in {newest}"
    return f"{newest}, since {moment(group.versions[newest])}"


def _newest_version(group: Group) -> str | None:
    versions = group.versions
    return line(max(versions, key=versions.__getitem__), 60) if versions else None


def _pods(pods: Mapping[str, int]) -> str:
    busiest = sorted(pods.items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{line(pod, 60)} ({count:,})" for pod, count in busiest[:_PODS]]
    more = len(busiest) - _PODS
    return ", ".join(shown) + (f" + {more} more" if more > 0 else "")
