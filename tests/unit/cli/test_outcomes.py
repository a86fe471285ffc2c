"""Which exit code jobs give."""

from __future__ import annotations

from typing import Any

from jobresults.cli.outcomes import exit_code_of, outcome_of, unknown, worst


def test_the_worst_counts() -> None:
    cases = [([], 0), ([0, 5], 5), ([5, 3, 0], 3), ([3, 6], 6), ([6, 1, 3], 1)]
    assert [worst(codes) for codes, _ in cases] == [code for _, code in cases]


def test_an_outcome_is_what_is_known_of_the_end() -> None:
    job: dict[str, Any] = {"job_id": "a", "state": "running", "task": "echo"}
    outcomes = [
        (outcome_of(job), 5),
        (outcome_of({**job, "result": None}), 0),
        (outcome_of({**job, "error": {"code": "task_error"}}), 3),
        (outcome_of({**job, "error": {"code": "result_expired"}}), 6),
        (unknown("a"), 6),
    ]
    assert [exit_code_of(outcome) for outcome, _ in outcomes] == [code for _, code in outcomes]
    assert outcomes[0][0] == {"job_id": "a", "state": "running"}
