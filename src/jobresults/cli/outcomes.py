"""How jobs ended, as rows to print and as exit codes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Job = Mapping[str, Any]
Row = dict[str, Any]

# An error of which nothing is known hides no other; a job that goes on hides none.
_WORST_FIRST = (1, 7, 4, 6, 3, 5)


def worst(codes: Iterable[int]) -> int:
    """The exit code for several jobs: the worst of theirs, 0 if all are."""
    met = set(codes)
    return next((code for code in _WORST_FIRST if code in met), 0)


def outcome_of(job: Job) -> Row:
    """`{job_id, state}`, with `result` or `error` once the job has ended."""
    told = ("job_id", "state", "result", "error")
    return {name: job[name] for name in told if name in job}


def unknown(job_id: str) -> Row:
    """The row for what is no job of this caller."""
    error = {"code": "not_found", "title": "Not found", "detail": "no such job"}
    return {"job_id": job_id, "state": None, "error": error}


def has_ended(outcome: Row) -> bool:
    """Whether it is known how the job ended."""
    return "result" in outcome or "error" in outcome


def exit_code_of(outcome: Row) -> int:
    """The exit code for a row."""
    if "error" in outcome:
        gone = ("result_expired", "not_found")
        return 6 if outcome["error"]["code"] in gone else 3
    return 0 if "result" in outcome else 5
