"""Alerts as operators look at them: a page of them, and one."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from flask import Response, jsonify, request

from jobresults.alerts.listing import Listed
from jobresults.alerts.silences import Silence
from jobresults.web.alert_bodies import AlertQuery
from jobresults.web.document import rfc3339
from jobresults.web.request_body import parse
from jobresults.web.services import services

_TIMES = ("created_at", "expires_at", "ended_at")


def list_alerts() -> Response:
    """List alerts, the one with the latest event first."""
    given: dict[str, Any] = {name: request.args[name] for name in request.args}
    if "state" in given:
        given["state"] = request.args.getlist("state")
    query = parse(AlertQuery, given)
    found, next_cursor = services().alerts.page(
        states=query.state, before=query.cursor, limit=query.limit
    )
    return jsonify(alerts=[alert_document(item) for item in found], next_cursor=next_cursor)


def get_alert(fingerprint: str) -> Response:
    """Read an alert, with the stack frames of its newest event."""
    return jsonify(alert_document(services().alerts.get(fingerprint), with_frames=True))


def alert_document(listed: Listed, *, with_frames: bool = False) -> dict[str, Any]:
    """The alert's body."""
    tracked, group = listed.tracked, listed.tracked.group
    sample = asdict(group.sample)
    title, frames = sample.pop("title"), sample.pop("frames")
    if with_frames:
        sample["frames"] = frames
    return {
        "fingerprint": group.fingerprint,
        "state": listed.state,
        "severity": group.severity,
        "title": title,
        "service": group.service,
        "environment": group.environment,
        "count": group.count,
        "opened": tracked.opening,
        "first_at": rfc3339(group.first_ms),
        "last_at": rfc3339(group.last_ms),
        "pods": dict(group.pods),
        "versions": {name: rfc3339(first) for name, first in group.versions.items()},
        "job_count": group.job_count,
        "customer_count": group.customer_count,
        "sample": sample,
        "told": {
            sink: {
                "at": rfc3339(told.told_ms),
                "count": told.told_count,
                "resolved": told.is_resolved,
                "refused": told.is_refused,
            }
            for sink, told in tracked.told.items()
        },
        "silence": None if listed.silence is None else silence_document(listed.silence),
    }


def silence_document(silence: Silence) -> dict[str, Any]:
    """The silence's body."""
    document = asdict(silence)
    for name in _TIMES:
        document[name] = rfc3339(document.pop(f"{name}_ms"))
    return document
