"""Sums by month and the measures over them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from jobresults.tasks.score.features import Features, Month, features_of
from jobresults.tasks.score.messages import Transaction
from jobresults.tasks.score.wording import Kind


def moved(
    kind: Kind, day: str, amount: str, currency: str = "INR", balance: str | None = None
) -> Transaction:
    left = None if balance is None else Decimal(balance)
    return Transaction(kind, date.fromisoformat(day), Decimal(amount), currency, left)


def credit(day: str, amount: str = "100.00", **more: str) -> Transaction:
    return moved(Kind.CREDIT, day, amount, **more)


def debit(day: str, amount: str = "100.00", **more: str) -> Transaction:
    return moved(Kind.DEBIT, day, amount, **more)


def missed(day: str) -> Transaction:
    return Transaction(Kind.MISSED, date.fromisoformat(day))


def incomes(*amounts: str) -> Features:
    return features_of(
        item
        for number, amount in enumerate(amounts, 1)
        for item in (credit(f"2024-{number:02}-01", amount), debit(f"2024-{number:02}-02", "1"))
    )


def test_a_month_sums_what_came_in_and_what_went_out() -> None:
    features = features_of(
        [
            credit("2024-01-31", "70.10", balance="70.10"),
            debit("2024-02-01", "20.05", balance="50.05"),
            debit("2024-02-29", "60.10", balance="-10.05"),
            credit("2024-02-29", "5"),
            missed("2024-02-29"),
        ]
    )

    assert features.months == [
        Month(
            month="2024-01",
            income=Decimal("70.10"),
            spending=Decimal(0),
            lowest_balance=Decimal("70.10"),
            transactions=1,
            missed_payments=0,
        ),
        Month(
            month="2024-02",
            income=Decimal(5),
            spending=Decimal("80.15"),
            lowest_balance=Decimal("-10.05"),
            transactions=3,
            missed_payments=1,
        ),
    ]


def test_nothing_moved_is_no_history() -> None:
    assert features_of([]) == Features()
    assert features_of([missed("2024-01-01")]) == Features()


def test_the_window_is_the_twelve_months_up_to_the_last_movement() -> None:
    features = features_of(
        [missed("2023-03-31"), credit("2023-03-31"), credit("2023-04-01"), credit("2024-03-31")]
    )

    assert [month.month for month in features.months] == ["2023-04", "2024-03"]
    assert features.missed_payments == 0


def test_a_payment_missed_after_the_last_movement_counts_and_moves_no_window() -> None:
    features = features_of([credit("2023-04-01"), credit("2024-03-31"), missed("2024-06-01")])

    assert [month.month for month in features.months] == ["2023-04", "2024-03", "2024-06"]
    assert features.missed_payments == 1
    assert features.history_months == 2


def test_the_currency_of_most_transactions_is_scored_and_the_others_are_counted() -> None:
    features = features_of(
        [
            credit("2024-01-01", "1", currency="EUR"),
            debit("2024-01-02", "1", currency="EUR"),
            credit("2024-01-01", "999", currency="USD"),
            credit("2025-01-01", "999", currency="GBP"),
        ]
    )

    assert features.currency == "EUR"
    assert [(m.month, m.income, m.spending) for m in features.months] == [
        ("2024-01", Decimal(1), Decimal(1))
    ]
    assert features.other_currencies == {"GBP": 1, "USD": 1}


def test_of_equally_used_currencies_the_first_by_code_is_scored() -> None:
    features = features_of([credit("2024-01-01", currency="USD"), credit("2024-01-01")])

    assert features.currency == "INR"


def test_spending_is_set_against_all_income() -> None:
    features = features_of([credit("2024-01-01", "80"), debit("2024-02-01", "60")])

    assert features.spending_to_income == Decimal("0.75")  # 60 / 80


def test_without_income_neither_its_use_nor_its_steadiness_is_known() -> None:
    features = features_of([debit("2024-01-01")])

    assert features.spending_to_income is None
    assert features.steady_income is None


@pytest.mark.parametrize(
    ("amounts", "share"),
    [
        (("100", "100", "100", "100"), "1"),
        (("75", "100", "125", "100"), "1"),  # the median is 100, a quarter either way is steady
        (("74", "100", "126", "100"), "0.5"),
        (("1", "1", "100", "1000"), "0"),  # the median is 50.50
    ],
)
def test_steady_months_are_within_a_quarter_of_the_median(
    amounts: tuple[str, ...], share: str
) -> None:
    assert incomes(*amounts).steady_income == Decimal(share)


def test_months_without_income_are_not_steady() -> None:
    features = features_of(
        [credit("2024-01-01"), *(debit(f"2024-{month:02}-01") for month in range(2, 5))]
    )

    assert features.steady_income == 0  # the median is 0


def test_a_balance_is_low_under_a_tenth_of_the_average_months_spending() -> None:
    features = features_of(
        [
            debit("2024-01-01", "150", balance="10.00"),  # (150 + 50) / 2 / 10 = 10: not under it
            debit("2024-02-01", "50", balance="9.99"),
        ]
    )

    assert features.low_balance == Decimal("0.5")


def test_months_that_tell_no_balance_are_left_out_of_its_share() -> None:
    features = features_of([debit("2024-01-01", balance="-1"), debit("2024-02-01")])

    assert features.low_balance == 1
    assert features_of([debit("2024-02-01")]).low_balance is None
