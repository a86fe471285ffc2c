"""What a run ends with: the worst that there is, in a code and in words."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from jobresults.client import AuthenticationFailed, ClientError, ServiceUnavailable
from jobresults.populate.audit import Audit
from jobresults.populate.report import exit_code, report_of, verdict
from jobresults.populate.run import Options, Outcome
from jobresults.populate.tally import Tally

UNFINISHED = Audit(asked=2, unfinished=[str(uuid.uuid4())], is_complete=True)


def outcome(**changes: Any) -> Outcome:
    tally = Tally()
    for _ in range(changes.pop("failed", 0)):
        tally.ended("failed")
    known: dict[str, Any] = {
        "destination": "http://x",
        "version": "1",
        "options": Options(seed=1, task="mail", params={"to": "ann@example.com"}),
        "began_at": datetime(2026, 1, 1, tzinfo=UTC),
        "load_seconds": 0.0,
        "figures": tally.figures(),
        "finding_counts": {},
        "findings": [],
        "audit": Audit(is_complete=True),
        "interrupted": False,
        "failure": None,
    }
    return Outcome(**(known | changes))


def test_the_worst_decides() -> None:
    refused, away = AuthenticationFailed("no"), ServiceUnavailable("away")
    wrong = {"finding_counts": {"lost": 2, "wrong": 1}}
    cases: list[tuple[dict[str, Any], int, str]] = [
        ({}, 0, "all 0 accepted jobs ended; no wrong"),
        ({"audit": UNFINISHED}, 5, "1 accepted jobs have not ended in time"),
        ({"audit": UNFINISHED, "interrupted": True}, 130, "1 accepted jobs have not ended"),
        ({"audit": Audit(), "interrupted": True}, 130, "not all accepted jobs were asked for"),
        ({"failed": 2, "interrupted": True}, 3, "2 jobs failed"),
        ({"failed": 2, "failure": ClientError("odd")}, 1, "ended early: odd"),
        ({"failed": 2, "failure": away, "audit": Audit()}, 7, "ended early: away"),
        ({"failed": 2, "failure": refused}, 4, "ended early: no"),
        ({"failed": 2, "failure": refused, **wrong}, 1, "wrong answers: 2 lost, 1 wrong"),
    ]
    for changes, code, words in cases:
        ended = outcome(**changes)
        assert (exit_code(ended), words in verdict(ended)) == (code, True), verdict(ended)


def test_a_report_tells_nothing_of_params() -> None:
    report = report_of(outcome())
    assert "ann@example.com" not in str(report)
    assert report["options"]["task"] == "mail"
