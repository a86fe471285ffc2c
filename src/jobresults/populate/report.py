"""A run as one JSON document: what was asked for, what was counted, what was found."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from jobresults.client import AuthenticationFailed, ServiceUnavailable
from jobresults.populate.histogram import Histogram
from jobresults.populate.run import Outcome
from jobresults.populate.tally import Figures

Report = dict[str, Any]

_MOST_NAMED = 100


def report_of(outcome: Outcome) -> Report:
    """All of it; times in milliseconds, rates by the second."""
    figures = outcome.figures
    audit = outcome.audit
    return {
        "verdict": verdict(outcome),
        "exit_code": exit_code(outcome),
        "destination": outcome.destination,
        "service_version": outcome.version,
        "began_at": f"{outcome.began_at:%Y-%m-%dT%H:%M:%SZ}",
        "options": _options(outcome),
        "interrupted": outcome.interrupted,
        "failure": None if outcome.failure is None else str(outcome.failure),
        "load_seconds": round(outcome.load_seconds, 3),
        "total_seconds": round(figures.elapsed_seconds, 3),
        "jobs": {
            "accepted": figures.accepted,
            "accepted_per_second": _rate(figures.accepted, outcome.load_seconds),
            "ended": figures.states,
            "ended_per_second": _rate(figures.ended, figures.elapsed_seconds),
        },
        "requests": figures.requests,
        "requests_per_second": _rate(figures.requests, figures.elapsed_seconds),
        "verified_answers": figures.verified,
        "findings": {
            "counts": dict(outcome.finding_counts),
            "named": [asdict(finding) for finding in outcome.findings],
        },
        "audit": {
            "complete": audit.is_complete,
            "asked": audit.asked,
            "unfinished": len(audit.unfinished),
            "unfinished_job_ids": audit.unfinished[:_MOST_NAMED],
        },
        "errors": figures.errors,
        "latencies_ms": {name: _latency(each) for name, each in figures.latencies.items()},
        "late_requests_ms": _latency(figures.late),
        "timeline": _timeline(figures),
    }


def exit_code(outcome: Outcome) -> int:
    """0, or the code of the worst that there is: a wrong answer before all else."""
    failure = outcome.failure
    codes = [
        (1, bool(outcome.finding_counts)),
        (4, isinstance(failure, AuthenticationFailed)),
        (7, isinstance(failure, ServiceUnavailable)),
        (1, failure is not None),
        (3, bool(outcome.figures.states.get("failed"))),
        (130, outcome.interrupted),
        (5, bool(outcome.audit.unfinished)),
    ]
    return next((code for code, applies in codes if applies), 0)


def verdict(outcome: Outcome) -> str:
    """The same in words."""
    figures, audit = outcome.figures, outcome.audit
    if outcome.finding_counts:
        counts = ", ".join(f"{count:,} {kind}" for kind, count in outcome.finding_counts.items())
        return f"wrong answers: {counts}"
    if outcome.failure is not None:
        return f"ended early: {outcome.failure}"
    if failed := figures.states.get("failed"):
        return f"{failed:,} jobs failed"
    if not audit.is_complete:
        return "not all accepted jobs were asked for at the end"
    if audit.unfinished:
        return f"{len(audit.unfinished):,} accepted jobs have not ended in time"
    return f"all {figures.accepted:,} accepted jobs ended; no wrong, lost or repeated answer"


def _options(outcome: Outcome) -> dict[str, Any]:
    options = asdict(outcome.options)
    del options["params"]  # may be somebody's data
    return options


def _latency(histogram: Histogram) -> dict[str, Any]:
    if not histogram.count:
        return {"count": 0}
    quantiles = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p999": 0.999}
    return {
        "count": histogram.count,
        "mean": _ms(histogram.total_seconds / histogram.count),
        **{name: _ms(histogram.quantile(share) or 0.0) for name, share in quantiles.items()},
        "max": _ms(histogram.longest_seconds),
        "histogram": [
            [_ms(start), _ms(end), count] for start, end, count in histogram.coarse() if count
        ],
    }


def _timeline(figures: Figures) -> dict[str, Any]:
    lines = {
        name: [
            [round(at, 2), round(rate, 2)]
            for at, rate in figures.timeline.rates(name, figures.elapsed_seconds)
        ]
        for name in ("accepted", "ended", "errors")
    }
    return {"slot_seconds": figures.timeline.slot_seconds, **lines}


def _rate(count: int, seconds: float) -> float:
    return round(count / seconds, 1) if seconds else 0.0


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
