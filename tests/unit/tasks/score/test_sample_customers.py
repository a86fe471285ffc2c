"""The sample customers under `examples/` are as generated and score as their names say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jobresults.jobs.catalog import load_catalog

EXAMPLES = Path(__file__).resolve().parents[4] / "examples"
CUSTOMERS = sorted(path.stem for path in EXAMPLES.glob("*.json"))
MAX_BYTES = 900 * 1024


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    task = load_catalog(["jobresults.tasks.score"]).get("score")
    return {
        customer: json.loads(
            task.encode_result(task.call((EXAMPLES / f"{customer}.json").read_bytes()))
        )
        for customer in CUSTOMERS
    }


def test_the_files_are_what_the_generator_makes() -> None:
    checked = subprocess.run(
        [sys.executable, EXAMPLES / "generate.py", "--check"], capture_output=True, text=True
    )

    assert (checked.returncode, checked.stderr) == (0, "")


def test_every_kind_of_customer_is_there() -> None:
    kinds = {"salaried", "irregular", "overdrawn", "empty", "malformed", "several_currencies"}

    assert set(CUSTOMERS) == kinds | {"heavy"}


@pytest.mark.parametrize("customer", CUSTOMERS)
def test_a_sample_fits_into_a_request(customer: str) -> None:
    assert (EXAMPLES / f"{customer}.json").stat().st_size <= MAX_BYTES


def test_a_salary_scores_above_irregular_income_and_that_above_an_overdraft(
    results: dict[str, Any],
) -> None:
    scores = [results[name]["score"] for name in ("salaried", "irregular", "overdrawn")]

    assert scores == sorted(scores, reverse=True)
    assert len(set(scores)) == 3


@pytest.mark.parametrize(
    ("customer", "reason"),
    [
        ("salaried", "spending_to_income"),
        ("irregular", "steady_income"),
        ("overdrawn", "missed_payments"),
        ("empty", "no_history"),
        ("malformed", "no_history"),
    ],
)
def test_the_first_reason_is_what_the_name_says(
    results: dict[str, Any], customer: str, reason: str
) -> None:
    assert results[customer]["reasons"][0]["code"] == reason


@pytest.mark.parametrize("customer", ["empty", "malformed"])
def test_nothing_to_read_gives_a_null_score(results: dict[str, Any], customer: str) -> None:
    assert results[customer]["score"] is None
    assert results[customer]["counts"]["messages_parsed"] == 0


def test_every_malformed_message_is_counted_with_a_reason(results: dict[str, Any]) -> None:
    counts = results["malformed"]["counts"]

    assert sum(counts["messages_skipped"].values()) == counts["messages_total"] > 0


def test_the_overdrawn_customer_is_in_debt(results: dict[str, Any]) -> None:
    assert any(month["lowest_balance"].startswith("-") for month in results["overdrawn"]["months"])


def test_of_several_currencies_the_main_one_is_scored(results: dict[str, Any]) -> None:
    result = results["several_currencies"]

    assert result["currency"] == "EUR"
    assert result["counts"]["other_currencies"] == {"GBP": 8, "USD": 8}


def test_the_heavy_customer_has_five_thousand_messages_from_two_years(
    results: dict[str, Any],
) -> None:
    counts = results["heavy"]["counts"]

    assert counts["messages_total"] == 5_000
    assert len(results["heavy"]["months"]) == 12
    assert 0 < counts["transactions_scored"] < counts["messages_parsed"]
