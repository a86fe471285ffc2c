"""The scorecard: points for each characteristic, their sum as a score, and the reasons for losses.

score = OFFSET + FACTOR x ln(odds): BASE_SCORE stands for 30 good customers to each bad one, and
every 20 points double that (scaling as in N. Siddiqi, Credit Risk Scorecards, 2006).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from pydantic import BaseModel, Field

from jobresults.tasks.score.features import Features

BASE_SCORE, BASE_ODDS, POINTS_TO_DOUBLE_ODDS = 600, 30, 20
FACTOR = POINTS_TO_DOUBLE_ODDS / math.log(2)
OFFSET = BASE_SCORE - FACTOR * math.log(BASE_ODDS)
MAX_REASONS = 4


@dataclass(frozen=True)
class Bin:
    """Takes values under `below` that no bin before it took; with None, what is not known."""

    below: str | None
    points: int
    text: str

    def takes(self, value: Decimal | int | None) -> bool:
        if value is None or self.below is None:
            return value is None and self.below is None
        return value < Decimal(self.below)


@dataclass(frozen=True)
class Characteristic:
    """One line of the scorecard."""

    code: str
    measure: Callable[[Features], Decimal | int | None]
    bins: tuple[Bin, ...]


SCORECARD = (
    Characteristic(
        "missed_payments",
        lambda features: features.missed_payments,
        (
            Bin("1", 25, "No payment was missed or bounced."),
            Bin("2", -10, "One payment was missed or bounced."),
            Bin("3", -30, "Two payments were missed or bounced."),
            Bin("5", -55, "Three or four payments were missed or bounced."),
            Bin("Infinity", -80, "Five or more payments were missed or bounced."),
        ),
    ),
    Characteristic(
        "spending_to_income",
        lambda features: features.spending_to_income,
        (
            Bin("0.70", 20, "Spending stays well below income."),
            Bin("0.90", 10, "Most of the income is spent."),
            Bin("1.00", -5, "Nearly all of the income is spent."),
            Bin("Infinity", -30, "Spending is as high as income or higher."),
            Bin(None, -40, "No income was seen."),
        ),
    ),
    Characteristic(
        "steady_income",
        lambda features: features.steady_income,
        (
            Bin("0.34", -25, "Income changes strongly from month to month."),
            Bin("0.67", -10, "Income is far from its usual height in many months."),
            Bin("0.90", 5, "Income is far from its usual height in some months."),
            Bin("Infinity", 20, "Income is steady."),
            Bin(None, -25, "No regular income was seen."),
        ),
    ),
    Characteristic(
        "low_balance",
        lambda features: features.low_balance,
        (
            Bin("0.01", 15, "The balance never ran low."),
            Bin("0.34", 0, "The balance ran low in some months."),
            Bin("0.67", -20, "The balance ran low in many months."),
            Bin("Infinity", -40, "The balance ran low in most months."),
            Bin(None, 0, "No text tells a balance."),
        ),
    ),
    Characteristic(
        "history_months",
        lambda features: features.history_months,
        (
            Bin("3", -25, "Transactions are known from fewer than three months."),
            Bin("6", -5, "Transactions are known from fewer than six months."),
            Bin("9", 5, "Transactions are known from fewer than nine months."),
            Bin("Infinity", 15, "Transactions are known from nine months or more."),
        ),
    ),
)


class Points(BaseModel):
    """What one characteristic gave."""

    code: str
    value: float | None = Field(description="as measured, to two decimals; null if unknown")
    points: int
    best_points: int
    text: str


class Reason(BaseModel):
    """Why the score is not higher."""

    code: str
    text: str
    points_lost: int


NO_HISTORY = Reason(
    code="no_history", text="No bank transaction could be read from the messages.", points_lost=0
)


def points_of(features: Features) -> list[Points]:
    """The points of every characteristic; none without history."""
    return [_points(line, line.measure(features)) for line in SCORECARD if features.history]


def score_of(points: list[Points]) -> int | None:
    """BASE_SCORE and all points, between 390 and 695; None without points."""
    return BASE_SCORE + sum(item.points for item in points) if points else None


def odds_of(score: int) -> float:
    """Good customers to each bad one."""
    return math.exp((score - OFFSET) / FACTOR)


def reasons_for(points: list[Points]) -> list[Reason]:
    """Where most points were lost against the best attainable, worst first, at most four."""
    lost = [
        Reason(code=item.code, text=item.text, points_lost=item.best_points - item.points)
        for item in points
        if item.points < item.best_points
    ]
    ranked = sorted(lost, key=lambda reason: (-reason.points_lost, reason.code))
    return ranked[:MAX_REASONS] if points else [NO_HISTORY]


def _points(line: Characteristic, value: Decimal | int | None) -> Points:
    taken = next(item for item in line.bins if item.takes(value))
    return Points(
        code=line.code,
        value=None if value is None else round(float(value), 2),
        points=taken.points,
        best_points=max(item.points for item in line.bins),
        text=taken.text,
    )
