"""When a sink is told of a group, and as what. Pure functions: the clock is an argument."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from jobresults.alerts.groups import Told, Tracked
from jobresults.alerts.model import Group, Kind, Receipt, Severity
from jobresults.settings import AlertsSettings

_GROWTH = 10
# Errors that follow from an outage wait a moment longer: the outage itself is about to be noticed.
_CONSEQUENCE_WAIT_MS = 10_000
# So far around an outage, errors that name it as their cause belong to it.
_OUTAGE_MARGIN_MS = 60_000


@dataclass(frozen=True)
class Rhythm:
    """The settings' intervals, in ms."""

    group_wait_ms: int
    group_interval_ms: int
    repeat_interval_ms: int

    @classmethod
    def of(cls, settings: AlertsSettings) -> Rhythm:
        return cls(
            round(settings.group_wait_seconds * 1000),
            round(settings.group_interval_seconds * 1000),
            round(settings.repeat_interval_seconds * 1000),
        )


@dataclass(frozen=True)
class Decision:
    """What to tell: nothing (no kind), a new message, or a change of the last one.

    `look_again_ms`: when the answer may be another though nothing has come; None: never.
    """

    kind: Kind | None
    look_again_ms: int | None
    is_edit: bool = False


def decide(
    tracked: Tracked, told: Told, rhythm: Rhythm, now_ms: int, *, can_edit: bool
) -> Decision:
    """What a sink is to be told of a group now, given what it was told."""
    if told.is_refused and told.opening == tracked.opening:
        return Decision(None, None)
    if told.opening != tracked.opening or told.posted_ms is None:
        return _first(tracked, told, rhythm, now_ms)
    if tracked.group.is_trial:
        return Decision(None, None)  # it has no end to tell
    quiet_at = tracked.group.last_ms + tracked.resolve_after_ms
    can_edit = can_edit and told.receipt.message_id is not None
    if now_ms >= quiet_at:
        if told.is_resolved:
            return Decision(None, None)
        return Decision(Kind.RESOLVED, None, is_edit=can_edit)
    return _next(tracked.group, told, rhythm, now_ms, quiet_at=quiet_at, can_edit=can_edit)


def _first(tracked: Tracked, told: Told, rhythm: Rhythm, now_ms: int) -> Decision:
    came_back = told.posted_ms is not None
    group = tracked.group
    if came_back or group.severity is Severity.CRITICAL:
        wait_ms = 0
    elif group.sample.cause is not None:
        wait_ms = max(rhythm.group_wait_ms, _CONSEQUENCE_WAIT_MS)
    else:
        wait_ms = rhythm.group_wait_ms
    if now_ms < group.first_ms + wait_ms:
        return Decision(None, group.first_ms + wait_ms)
    kind = Kind.REGRESSION if came_back else Kind.FIRST
    return Decision(Kind.TEST if group.is_trial else kind, now_ms + rhythm.group_wait_ms)


def _next(
    group: Group, told: Told, rhythm: Rhythm, now_ms: int, *, quiet_at: int, can_edit: bool
) -> Decision:
    posted_ms = told.posted_ms or 0
    may_post_at = posted_ms + rhythm.group_wait_ms
    has_news = group.count != told.told_count
    look_again_ms = quiet_at
    if has_news:
        look_again_ms = min(look_again_ms, told.told_ms + rhythm.group_interval_ms)
    kind = None
    if group.count >= _GROWTH * max(1, told.posted_count):
        kind = Kind.GROWN
    elif set(group.versions) - set(told.versions):
        kind = Kind.NEW_VERSION
    elif has_news and now_ms >= posted_ms + rhythm.repeat_interval_ms:
        kind = Kind.REPEATED
    if kind is not None:
        if now_ms < may_post_at:
            return Decision(None, min(look_again_ms, may_post_at))
        return Decision(kind, now_ms + rhythm.group_wait_ms)
    if has_news and now_ms >= told.told_ms + rhythm.group_interval_ms:
        return Decision(Kind.GROWN, now_ms + rhythm.group_wait_ms, is_edit=can_edit)
    return Decision(None, max(look_again_ms, now_ms + 1))


def after(tracked: Tracked, told: Told, decision: Decision, now_ms: int, receipt: Receipt) -> Told:
    """What the sink knows once the decision was carried out."""
    group = tracked.group
    base = told if told.opening == tracked.opening else Told(opening=tracked.opening)
    known = replace(
        base,
        told_ms=now_ms,
        told_count=group.count,
        # What is over when it is told at last is not told to be over once more.
        is_resolved=decision.kind is Kind.RESOLVED or tracked.is_resolved(now_ms),
        refusal=None,
        receipt=receipt,
    )
    if decision.is_edit or decision.kind is Kind.RESOLVED:
        return known
    return replace(
        known, posted_ms=now_ms, posted_count=group.count, versions=tuple(sorted(group.versions))
    )


def look_after(tracked: Tracked, told: Told, rhythm: Rhythm, now_ms: int) -> int | None:
    """When to look at a group again that was just told."""
    return decide(tracked, told, rhythm, now_ms, can_edit=False).look_again_ms


def follows_from(group: Group, outages: Sequence[Group]) -> bool:
    """Whether the group's events are but consequences of one of these outages."""
    return any(
        outage.first_ms - _OUTAGE_MARGIN_MS <= group.last_ms <= outage.last_ms + _OUTAGE_MARGIN_MS
        for outage in outages
    )
