"""The scale, the bins and the reasons."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest

from jobresults.tasks.score.features import Features, Month
from jobresults.tasks.score.scorecard import (
    NO_HISTORY,
    SCORECARD,
    Characteristic,
    odds_of,
    points_of,
    reasons_for,
    score_of,
)


def line(code: str) -> Characteristic:
    return next(item for item in SCORECARD if item.code == code)


def points_at(code: str, value: str | None) -> int:
    measured = None if value is None else Decimal(value)
    return next(item.points for item in line(code).bins if item.takes(measured))


@pytest.mark.parametrize(
    ("score", "odds"), [(600, 30), (620, 60), (640, 120), (580, 15), (500, 30 / 32)]
)
def test_600_is_30_to_1_and_20_points_double_the_odds(score: int, odds: float) -> None:
    assert odds_of(score) == pytest.approx(odds)


@pytest.mark.parametrize(
    ("code", "value", "points"),
    [
        ("missed_payments", "0", 25),
        ("missed_payments", "1", -10),
        ("missed_payments", "2", -30),
        ("missed_payments", "3", -55),
        ("missed_payments", "4", -55),
        ("missed_payments", "5", -80),
        ("missed_payments", "5000", -80),
        ("spending_to_income", "0.69", 20),
        ("spending_to_income", "0.70", 10),
        ("spending_to_income", "0.90", -5),
        ("spending_to_income", "1.00", -30),
        ("spending_to_income", None, -40),
        ("steady_income", "0.33", -25),
        ("steady_income", "0.34", -10),
        ("steady_income", "0.67", 5),
        ("steady_income", "1", 20),
        ("steady_income", None, -25),
        ("low_balance", "0", 15),
        ("low_balance", "0.08", 0),
        ("low_balance", "0.34", -20),
        ("low_balance", "1", -40),
        ("low_balance", None, 0),
        ("history_months", "1", -25),
        ("history_months", "3", -5),
        ("history_months", "6", 5),
        ("history_months", "9", 15),
    ],
)
def test_a_value_on_a_bound_falls_into_the_upper_bin(
    code: str, value: str | None, points: int
) -> None:
    assert points_at(code, value) == points


def test_each_further_missed_payment_costs_points_or_nothing() -> None:
    points = [points_at("missed_payments", str(count)) for count in range(20)]

    assert all(more <= fewer for fewer, more in pairwise(points))


@pytest.mark.parametrize("item", SCORECARD, ids=lambda item: item.code)
def test_bins_rise_and_take_every_number(item: Characteristic) -> None:
    bounds = [Decimal(each.below) for each in item.bins if each.below is not None]

    assert bounds == sorted(set(bounds))
    assert bounds[-1] == Decimal("Infinity")


def test_the_score_stays_between_the_sums_of_worst_and_best_bins() -> None:
    worst = sum(min(each.points for each in item.bins) for item in SCORECARD)
    best = sum(max(each.points for each in item.bins) for item in SCORECARD)

    assert (600 + worst, 600 + best) == (390, 695)


def month(**values: str | int | None) -> Month:
    usual = {"month": "2024-01", "income": "100.00", "spending": "50.00", "lowest_balance": "50.00"}
    return Month.model_validate({**usual, "transactions": 2, "missed_payments": 0, **values})


def test_the_best_customer_has_no_reasons() -> None:
    points = points_of(Features("INR", [month()] * 9))

    assert score_of(points) == 695
    assert reasons_for(points) == []


def test_reasons_are_the_four_greatest_losses_in_order() -> None:
    poor = month(income="0.00", missed_payments=3, lowest_balance="-1.00")

    points = points_of(Features("INR", [poor, poor]))  # six missed payments in two months

    assert score_of(points) == 390  # 600 - 80 - 40 - 25 - 40 - 25
    assert [(reason.code, reason.points_lost) for reason in reasons_for(points)] == [
        ("missed_payments", 105),  # 25 to -80
        ("spending_to_income", 60),  # 20 to -40
        ("low_balance", 55),  # 15 to -40
        ("steady_income", 45),  # 20 to -25; 40 on history_months is the fifth
    ]


def test_equal_losses_stand_by_code() -> None:
    some = month(income="60.00")  # 50/60 spent: 10 of 20 points; 8 months: 5 of 15

    reasons = reasons_for(points_of(Features("INR", [some] * 8)))

    assert [(reason.code, reason.points_lost) for reason in reasons] == [
        ("history_months", 10),
        ("spending_to_income", 10),
    ]


def test_without_history_there_is_no_score_and_one_reason() -> None:
    points = points_of(Features())

    assert score_of(points) is None
    assert reasons_for(points) == [NO_HISTORY]
