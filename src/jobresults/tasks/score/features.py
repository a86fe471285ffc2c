"""What a customer's transactions add up to, by month and over the last twelve of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from statistics import median

from pydantic import BaseModel, Field

from jobresults.tasks.score.messages import Transaction
from jobresults.tasks.score.wording import Kind

WINDOW_MONTHS = 12
STEADY_WITHIN = Decimal("0.25")
LOW_BALANCE = Decimal("0.10")


class Month(BaseModel):
    """One calendar month in the scored currency."""

    month: str = Field(examples=["2024-03"])
    income: Decimal
    spending: Decimal
    lowest_balance: Decimal | None = Field(description="null: no text told a balance")
    transactions: int
    missed_payments: int


@dataclass(frozen=True)
class Features:
    """The measures the scorecard looks at; None where the messages do not tell.

    Only months with a movement of money count as history: a missed payment adds nothing but itself.
    """

    currency: str | None = None
    months: list[Month] = field(default_factory=list)
    other_currencies: dict[str, int] = field(default_factory=dict)

    @property
    def history(self) -> list[Month]:
        return [month for month in self.months if month.transactions]

    @property
    def history_months(self) -> int:
        return len(self.history)

    @property
    def missed_payments(self) -> int:
        return sum(month.missed_payments for month in self.months)

    @property
    def spending_to_income(self) -> Decimal | None:
        """All spending over all income."""
        income = sum(month.income for month in self.history)
        return sum(month.spending for month in self.history) / income if income else None

    @property
    def steady_income(self) -> Decimal | None:
        """The share of months whose income is within a quarter of the median month's."""
        if not any(month.income for month in self.history):
            return None
        usual = Decimal(median(month.income for month in self.history))
        steady = [
            m for m in self.history if m.income and abs(m.income - usual) <= STEADY_WITHIN * usual
        ]
        return Decimal(len(steady)) / self.history_months

    @property
    def low_balance(self) -> Decimal | None:
        """The share of months whose lowest balance is under a tenth of average monthly spending."""
        balances = [m.lowest_balance for m in self.history if m.lowest_balance is not None]
        if not balances:
            return None
        line = LOW_BALANCE * sum(month.spending for month in self.history) / self.history_months
        return Decimal(sum(balance < line for balance in balances)) / len(balances)


def features_of(transactions: Iterable[Transaction]) -> Features:
    """Sum up the main currency over the window that ends with the month of its latest movement.

    Missed payments count whatever their currency, those after the window too.
    """
    missed: list[Transaction] = []
    by_currency: defaultdict[str, list[Transaction]] = defaultdict(list)
    for item in transactions:
        (missed if item.currency is None else by_currency[item.currency]).append(item)
    if not by_currency:
        return Features()
    currency = min(by_currency, key=lambda code: (-len(by_currency[code]), code))
    moved = by_currency.pop(currency)
    start = max(map(_month_number, moved)) - WINDOW_MONTHS + 1
    months: defaultdict[int, list[Transaction]] = defaultdict(list)
    for item in [*moved, *missed]:
        if _month_number(item) >= start:
            months[_month_number(item)].append(item)
    others = {code: len(items) for code, items in sorted(by_currency.items())}
    return Features(currency, [_month(number, months[number]) for number in sorted(months)], others)


def _month_number(item: Transaction) -> int:
    return item.day.year * 12 + item.day.month - 1


def _month(number: int, items: list[Transaction]) -> Month:
    count = Counter(item.kind for item in items)
    return Month(
        month=f"{number // 12}-{number % 12 + 1:02}",
        income=_sum(items, Kind.CREDIT),
        spending=_sum(items, Kind.DEBIT),
        lowest_balance=min(
            (item.balance for item in items if item.balance is not None), default=None
        ),
        transactions=count[Kind.CREDIT] + count[Kind.DEBIT],
        missed_payments=count[Kind.MISSED],
    )


def _sum(items: list[Transaction], kind: Kind) -> Decimal:
    return sum((item.amount for item in items if item.kind is kind), Decimal("0.00"))
