"""Reading one bank SMS: which way money moved, how much, what is left, and when."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from jobresults.tasks.score import wording
from jobresults.tasks.score.wording import Kind, SkipReason

MAX_AMOUNT = Decimal(10) ** 12
MAX_DATES = 4
# Texts come late; and the day at the bank may be ahead of the day in UTC.
EARLIEST_DAY, LATEST_DAY = timedelta(days=-7), timedelta(days=1)


class Message(BaseModel):
    """One SMS as the device stored it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sender: Annotated[str, Field(min_length=1, max_length=64, examples=["AX-HDFCBK"])]
    body: Annotated[str, Field(max_length=2_000, examples=["Rs 500 debited from A/c 12. Bal 900"])]
    received_at: Annotated[
        AwareDatetime,
        # Strict: a number is no time. Bounded: dates near year 1 or 9999 have no UTC form.
        Field(
            strict=True,
            ge=datetime(2000, 1, 1, tzinfo=UTC),
            lt=datetime(2100, 1, 1, tzinfo=UTC),
            description="RFC 3339 with its offset, years 2000 to 2099",
            examples=["2026-01-31T12:00:00+05:30"],
        ),
    ]


@dataclass(frozen=True, slots=True)
class Transaction:
    """Money in or out; or a missed payment, which has neither amount nor balance."""

    kind: Kind
    day: date
    amount: Decimal = Decimal(0)
    currency: str | None = None
    balance: Decimal | None = None


class Unreadable(Exception):
    """The message reports no transaction; most texts on a phone do not."""

    def __init__(self, reason: SkipReason) -> None:
        super().__init__(reason)
        self.reason = reason


def parse(message: Message) -> Transaction:
    """Read one message.

    Raises:
        Unreadable: with the reason.
    """
    if wording.PERSONAL_SENDER.fullmatch(message.sender):
        raise Unreadable(SkipReason.PERSONAL_SENDER)
    kind = _kind(message.body)
    if kind is Kind.MISSED:
        return Transaction(kind, _day(message))
    balance = _first(wording.BALANCES, message.body)
    found = _first(
        wording.AMOUNTS, message.body.replace(balance[0], "", 1) if balance else message.body
    )
    amount = _number(found["number"]) if found else None
    if not found or not amount:
        raise Unreadable(SkipReason.NO_AMOUNT)
    currency = wording.CURRENCIES[found["currency"].lower()]
    left = _balance(balance, currency) if balance else None
    return Transaction(kind, _day(message), amount, currency, left)


def _kind(body: str) -> Kind:
    for meaning, pattern in wording.MEANINGS:
        if pattern.search(body):
            if isinstance(meaning, SkipReason):
                raise Unreadable(meaning)
            return meaning
    movement = wording.MOVEMENT.search(body)
    if movement is None:
        raise Unreadable(SkipReason.NOT_A_TRANSACTION)
    return Kind(str(movement.lastgroup))


def _first(patterns: tuple[re.Pattern[str], ...], body: str) -> re.Match[str] | None:
    return next(filter(None, (pattern.search(body) for pattern in patterns)), None)


def _balance(found: re.Match[str], currency: str) -> Decimal | None:
    """None if it is kept in another currency than the payment's."""
    sign = found["currency"]
    if sign and wording.CURRENCIES[sign.lower()] != currency:
        return None
    amount = _number(found["number"])
    negative = found["minus"] or found["inner_minus"] or found["overdrawn"]
    return -amount if amount and negative else amount


def _number(text: str) -> Decimal | None:
    """One or two digits after the last mark are a fraction; other marks only group digits."""
    text = text.rstrip(".,")
    mark = max(text.rfind("."), text.rfind(","))
    fraction = text[mark + 1 :] if mark > 0 and len(text) - mark <= 3 else ""
    digits = text.replace(",", "").replace(".", "")
    number = Decimal(digits).scaleb(-len(fraction)).quantize(Decimal("0.01"))
    return number if number < MAX_AMOUNT else None


def _day(message: Message) -> date:
    """The day the text names, if near the receipt's: that tells day first from month first."""
    received = message.received_at.astimezone(UTC).date()
    for pattern, orders in wording.DATES:
        for found in islice(pattern.finditer(message.body), MAX_DATES):
            for order in orders:
                try:
                    day = datetime.strptime("-".join(found.groups()), order).date()
                except ValueError:
                    continue
                if EARLIEST_DAY <= day - received <= LATEST_DAY:
                    return day
    return received
