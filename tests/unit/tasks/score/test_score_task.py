"""The `score` task as a whole: golden results, properties, and what it tells while it runs."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobresults import PermanentError
from jobresults.jobs.catalog import Task, load_catalog
from jobresults.jobs.context import JobContext, running
from jobresults.tasks.score import BATCH_SIZE, score
from jobresults.tasks.score.messages import Message

MakeMessage = Callable[..., Message]


@pytest.fixture(scope="module")
def task() -> Task:
    return load_catalog(["jobresults.tasks.score"]).get("score")


def as_json(result: Any) -> Any:
    return json.loads(result.model_dump_json())


def test_three_steady_months_with_one_bounced_payment(message: MakeMessage) -> None:
    bodies = [
        *(("Rs 1,000.00 credited. Bal Rs 1,000.00", f"2024-0{month}-01") for month in (1, 2, 3)),
        *(("Rs 800.00 debited. Bal Rs 200.00", f"2024-0{month}-15") for month in (1, 2, 3)),
        ("EMI of Rs 300 bounced", "2024-02-20"),
        ("USD 9.00 spent", "2024-02-21"),
        ("Good morning", "2024-02-22"),
        ("Good morning", "2024-02-22"),
    ]

    # missed_payments     1                        -10   of 25: 35 lost
    # spending_to_income  2400 / 3000 = 0.80        10   of 20: 10 lost
    # steady_income       3 of 3 months = 1         20   of 20
    # low_balance         200 >= 800 / 10: 0        15   of 15
    # history_months      3                         -5   of 15: 20 lost
    #                                       600 +   30 = 630
    # odds = 30 x 2 ^ (30 / 20) = 30 x 2.828427 = 84.8528; 1 / (1 + 84.8528) = 0.011648
    assert as_json(score([message(body, day) for body, day in bodies])) == {
        "customer": None,
        "score": 630,
        "odds": 84.8528,
        "probability_of_default": 0.011648,
        "reasons": [
            {
                "code": "missed_payments",
                "text": "One payment was missed or bounced.",
                "points_lost": 35,
            },
            {
                "code": "history_months",
                "text": "Transactions are known from fewer than six months.",
                "points_lost": 20,
            },
            {
                "code": "spending_to_income",
                "text": "Most of the income is spent.",
                "points_lost": 10,
            },
        ],
        "points": [
            {
                "code": "missed_payments",
                "value": 1.0,
                "points": -10,
                "best_points": 25,
                "text": "One payment was missed or bounced.",
            },
            {
                "code": "spending_to_income",
                "value": 0.8,
                "points": 10,
                "best_points": 20,
                "text": "Most of the income is spent.",
            },
            {
                "code": "steady_income",
                "value": 1.0,
                "points": 20,
                "best_points": 20,
                "text": "Income is steady.",
            },
            {
                "code": "low_balance",
                "value": 0.0,
                "points": 15,
                "best_points": 15,
                "text": "The balance never ran low.",
            },
            {
                "code": "history_months",
                "value": 3.0,
                "points": -5,
                "best_points": 15,
                "text": "Transactions are known from fewer than six months.",
            },
        ],
        "currency": "INR",
        "months": [
            {
                "month": f"2024-0{month}",
                "income": "1000.00",
                "spending": "800.00",
                "lowest_balance": "200.00",
                "transactions": 2,
                "missed_payments": int(month == 2),
            }
            for month in (1, 2, 3)
        ],
        "counts": {
            "messages_total": 10,
            "messages_duplicate": 1,
            "messages_parsed": 8,
            "messages_skipped": {"not_a_transaction": 1},
            "transactions_scored": 6,
            "other_currencies": {"USD": 1},
        },
    }


def test_one_payment_out_and_nothing_else(message: MakeMessage) -> None:
    result = score([message("$45.10 paid")])

    # 25 (none missed) - 40 (no income) - 25 (nor steady) + 0 (no balance) - 25 (one month) = -65
    assert result.score == 535
    assert result.odds == 3.1534  # 30 x 2 ^ (-65 / 20) = 30 x 0.105112
    assert result.probability_of_default == 0.240769  # 1 / 4.153366
    assert [reason.points_lost for reason in result.reasons] == [60, 45, 40, 15]


@pytest.mark.parametrize("bodies", [[], ["hello"], ["EMI bounced: insufficient funds"]])
def test_without_a_readable_transaction_the_score_is_null_not_an_error(
    message: MakeMessage, bodies: list[str]
) -> None:
    result = as_json(score([message(body) for body in bodies]))

    assert (result["score"], result["odds"], result["probability_of_default"]) == (None, None, None)
    assert [reason["code"] for reason in result["reasons"]] == ["no_history"]
    assert result["points"] == result["months"] == []
    assert result["counts"]["messages_total"] == len(bodies)


def test_the_same_message_seen_from_two_time_zones_is_one() -> None:
    at = datetime(2024, 3, 5, 10, tzinfo=UTC)
    zones = (UTC, timezone(timedelta(hours=5, minutes=30)))
    messages = [
        Message(sender="AX-HDFCBK", body="Rs 5 paid", received_at=at.astimezone(zone))
        for zone in zones
    ]

    assert score(messages).counts.messages_duplicate == 1


BODIES = st.one_of(
    st.builds(
        "{}{} {}. Avl Bal {}{}".format,
        st.sampled_from(["Rs.", "INR ", "EUR ", "$"]),
        st.decimals(0, 10**6, places=2) | st.integers(0, 10**6),
        st.sampled_from(["credited", "debited"]),
        st.sampled_from(["Rs.", "-INR ", "EUR ", ""]),
        st.decimals(0, 10**6, places=2),
    ),
    st.sampled_from(["EMI of Rs 500 bounced", "Good morning", "1 is your OTP", "debited"]),
    st.text(max_size=60),
)
TIMES = st.datetimes(datetime(2023, 1, 1), datetime(2024, 12, 31), timezones=st.just(UTC))
MESSAGES = st.builds(
    Message, sender=st.sampled_from(["AX-HDFCBK", "+919845012345"]), body=BODIES, received_at=TIMES
)
MISSED = st.builds(
    Message,
    sender=st.just("AX-HDFCBK"),
    body=st.sampled_from(
        [
            "EMI of Rs 500 bounced",
            "Cheque dishonoured. Avl Bal Rs 9,00,000.00",
            "Late payment fee of Rs 590 debited, credited back as USD 9",
            "Insufficient funds for EUR 30.00. Balance: EUR 99.999,00",
            "Your loan is overdue",
        ]
    ),
    received_at=TIMES,
)


@given(st.lists(MESSAGES, max_size=40), st.randoms(use_true_random=False))
def test_the_order_of_messages_does_not_matter(messages: list[Message], random: Any) -> None:
    shuffled = list(messages)
    random.shuffle(shuffled)

    assert as_json(score(shuffled)) == as_json(score(messages))


@given(st.lists(MESSAGES, max_size=30), st.data())
def test_repeated_messages_change_no_more_than_their_count(
    messages: list[Message], data: st.DataObject
) -> None:
    again = data.draw(st.lists(st.sampled_from(messages), max_size=9)) if messages else []

    repeated, once = as_json(score([*messages, *again])), as_json(score(messages))

    repeated_counts, counts = repeated.pop("counts"), once.pop("counts")
    assert repeated == once
    for name in ("messages_total", "messages_duplicate"):
        assert repeated_counts.pop(name) == counts.pop(name) + len(again)
    assert repeated_counts == counts


@settings(max_examples=200)
@given(st.lists(MESSAGES, max_size=30), st.lists(MISSED, max_size=8))
def test_more_missed_payments_never_raise_the_score(
    messages: list[Message], missed: list[Message]
) -> None:
    before, after = score(messages).score, score([*messages, *missed]).score

    if before is None:
        assert after is None
    else:
        assert after is not None
        assert after <= before


@given(st.lists(MESSAGES, max_size=40))
def test_the_result_adds_up(messages: list[Message]) -> None:
    result = score(messages)

    counts = result.counts
    skipped = sum(counts.messages_skipped.values())
    assert counts.messages_total == len(messages)
    assert counts.messages_total == counts.messages_duplicate + counts.messages_parsed + skipped
    if result.score is None:
        assert counts.transactions_scored == 0
    else:
        assert 390 <= result.score <= 695
        assert result.score == 600 + sum(item.points for item in result.points)
        assert result.probability_of_default is not None
        assert 0 < result.probability_of_default < 1


@given(st.lists(MESSAGES, max_size=20))
def test_parameters_and_results_travel_as_json(messages: list[Message]) -> None:
    task = load_catalog(["jobresults.tasks.score"]).get("score")
    params = {"messages": [json.loads(item.model_dump_json()) for item in messages]}

    result = task.encode_result(task.call(json.dumps(params).encode()))

    assert json.loads(result) == as_json(score(messages))


def test_too_many_messages_are_refused(task: Task, message: MakeMessage) -> None:
    one = message("x").model_dump_json()

    with pytest.raises(Exception, match=r"at most 20000 items"):
        task.validate(f'{{"messages":[{",".join([one] * 20_001)}]}}'.encode())


def test_progress_is_told_after_every_batch_and_at_the_end(message: MakeMessage) -> None:
    told: list[tuple[int, int | None]] = []
    job = JobContext(report_progress=lambda done, total, _: told.append((done, total)))
    messages = [message("Rs 5 paid", clock=f"10:{n // 60:02}:{n % 60:02}") for n in range(600)]

    with running(job):
        score(messages)

    assert told == [(0, 600), (BATCH_SIZE, 600), (2 * BATCH_SIZE, 600), (600, 600)]


def test_the_result_names_the_jobs_customer(message: MakeMessage) -> None:
    with running(JobContext(customer="anita")):
        assert score([message("Rs 5 paid")]).customer == "anita"


def test_a_canceled_job_stops_between_batches(message: MakeMessage) -> None:
    asked = iter([False, True])
    messages = [message("Rs 5 paid", clock=f"10:{n // 60:02}:{n % 60:02}") for n in range(600)]

    with (
        running(JobContext(read_cancel_requested=lambda: next(asked))),
        pytest.raises(PermanentError, match="canceled after 250 of 600 messages"),
    ):
        score(messages)


def test_log_lines_hold_counts_and_no_text_of_the_customers(
    message: MakeMessage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="jobresults.task")

    score([message("Rs 5 paid to SECRET LOVER")])

    assert [record.getMessage() for record in caplog.records] == [
        "read 1 transactions from 1 messages",
        "score 535 from 1 months of history",
    ]
