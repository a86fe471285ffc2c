"""A made-up customer's bank SMS, and what a score of them must say: the sums are known before any
text is written, so an answer is judged without the code that made it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

Message = dict[str, str]

_BASE_SCORE = 600
_CURRENCY = "INR"
_BANK = "AX-HDFCBK"
_SHOPS = ("BIGBASKET", "DMART", "SWIGGY", "IRCTC", "AMAZON", "FLIPKART", "APOLLO", "INDIANOIL")
_SALARY = "INR {amount} credited to A/c XX4821 on {day:%d-%b-%y}: SALARY ACME. Avl bal INR {left}"
_SPENT = "INR {amount} spent on Debit Card XX07 at {who} on {day:%d-%b-%y}. Avl bal INR {left}"
_MISSED = "EMI of Rs 4,500.00 for loan XX31 bounced on {day:%d-%m-%Y}: insufficient funds."
_NOISE = (
    (
        "VM-HDFCBK",
        "482913 is your OTP for a purchase of INR 1,499.00. Do not share it with anyone.",
    ),
    ("AD-QKLOAN", "Pre-approved instant loan of Rs 5,00,000 for you! Apply now: loans.example"),
    ("+91 98450 12345", "I have paid Rs 300 for lunch, send me your half when you can"),
    ("VK-BLUDRT", "Your parcel will arrive today between 2 and 5 pm."),
    ("VM-AXISBK", "UPI payment of Rs 899.00 failed. Money taken will be returned in 3 days."),
)


@dataclass(frozen=True)
class Month:
    """What happened in one month, in hundredths."""

    month: str
    income: int = 0
    spending: int = 0
    lowest_balance: int = 0
    transactions: int = 0
    missed_payments: int = 0


@dataclass(frozen=True)
class Truth:
    """What the score of a customer's messages must say."""

    customer: str
    months: tuple[Month, ...]
    counts: Mapping[str, int]

    def contradiction(self, score: Any) -> str | None:
        """The first thing in an answer that cannot be; None if there is none."""
        try:
            return next(self._contradictions(score), None)
        except (KeyError, TypeError, AttributeError, InvalidOperation) as error:
            return f"is not a score: {type(error).__name__} {error}"

    def _contradictions(self, score: Any) -> Iterator[str]:
        if score["customer"] != self.customer:
            yield f"is the score of {score['customer']!r}, not of {self.customer!r}"
        for name, count in self.counts.items():
            if (found := score["counts"][name]) != count:
                yield f"{name} is {found}, not {count}"
        if (currency := score["currency"]) != _CURRENCY:
            yield f"currency is {currency}, not {_CURRENCY}"
        if (months := [_read(month) for month in score["months"]]) != list(self.months):
            yield f"months are {months}, not {list(self.months)}"
        points = sum(each["points"] for each in score["points"])
        if not score["points"] or score["score"] != _BASE_SCORE + points:
            yield f"score is {score['score']}, not {_BASE_SCORE} + {points} points"


@dataclass
class _Sums:
    balance: int
    months: dict[str, Month] = field(default_factory=dict)
    noise: int = 0

    def move(self, month: str, amount: int) -> None:
        self.balance += amount
        before = self.months.get(month, Month(month, lowest_balance=self.balance))
        self.months[month] = replace(
            before,
            income=before.income + max(amount, 0),
            spending=before.spending + max(-amount, 0),
            lowest_balance=min(before.lowest_balance, self.balance),
            transactions=before.transactions + 1,
        )

    def miss(self, month: str) -> None:
        before = self.months[month]
        self.months[month] = replace(before, missed_payments=before.missed_payments + 1)


def phone_of(customer: str, seed: str) -> tuple[list[Message], Truth]:
    """Some months of messages, the same for the same seed, and what they amount to."""
    chance = random.Random(seed)  # noqa: S311 - sample data  # nosec B311
    sums = _Sums(balance=chance.randrange(50_000_00, 90_000_00))
    messages: list[Message] = []
    first = chance.randrange(12)
    for number in range(first, first + chance.randint(3, 12)):
        month = datetime(2024 + number // 12, number % 12 + 1, 1, tzinfo=UTC)
        messages += _month(month, chance, sums)
    messages += chance.sample(messages, k=len(messages) // 20)  # phones send some twice
    unique = {tuple(message.values()) for message in messages}
    truth = Truth(
        customer,
        tuple(sums.months.values()),
        {
            "messages_total": len(messages),
            "messages_duplicate": len(messages) - len(unique),
            "messages_parsed": len(unique) - sums.noise,
            "transactions_scored": sum(month.transactions for month in sums.months.values()),
        },
    )
    return messages, truth


def _month(month: datetime, chance: random.Random, sums: _Sums) -> Iterator[Message]:
    name = f"{month:%Y-%m}"

    def moved(text: str, day: datetime, amount: int) -> Message:
        sums.move(name, amount)
        written = {"amount": _written(abs(amount)), "left": _written(sums.balance)}
        return _message(_BANK, text.format(**written, day=day, who=chance.choice(_SHOPS)), day)

    yield moved(_SALARY, month + timedelta(hours=7), chance.randrange(40_000_00, 70_000_00))
    for place in range(chance.randint(2, 6)):
        day = month + timedelta(days=1 + 4 * place, minutes=chance.randrange(420, 1_260))
        yield moved(_SPENT, day, -chance.randrange(500_00, 9_000_00))
    if chance.random() < 0.15:
        sums.miss(name)
        day = month + timedelta(days=26, hours=12)
        yield _message("VM-BAJAJF", _MISSED.format(day=day), day)
    sums.noise += 1
    yield _message(*chance.choice(_NOISE), month + timedelta(days=25, hours=15))


def _message(sender: str, body: str, at: datetime) -> Message:
    return {"sender": sender, "body": body, "received_at": f"{at:%Y-%m-%dT%H:%M:%SZ}"}


def _written(hundredths: int) -> str:
    return f"{hundredths / 100:,.2f}"


def _read(month: Mapping[str, Any]) -> Month:
    def hundredths(name: str) -> int:
        return int(Decimal(month[name]) * 100)

    return Month(
        month["month"],
        hundredths("income"),
        hundredths("spending"),
        hundredths("lowest_balance"),
        month["transactions"],
        month["missed_payments"],
    )
