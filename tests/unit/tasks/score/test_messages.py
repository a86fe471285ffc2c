"""Reading single texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

import pytest
from pydantic import ValidationError

from jobresults.tasks.score import wording
from jobresults.tasks.score.messages import Message, Transaction, Unreadable, parse
from jobresults.tasks.score.wording import CURRENCIES, Kind, SkipReason

MakeMessage = Callable[..., Message]
BODY_LIMIT = 2_000

READ = [
    (
        "Your A/c XX1234 is credited with Rs. 1,23,456.78 by NEFT. Avl Bal: Rs. 1,50,000.00",
        (Kind.CREDIT, "123456.78", "INR", "150000.00"),
    ),
    (
        "Rs.500 debited from A/c XX12 to VPA x@upi; RAVI credited. Avl bal INR 1,000.50",
        (Kind.DEBIT, "500.00", "INR", "1000.50"),
    ),
    (
        "QFX Confirmed. You have received Ksh3,000.00 from JOHN 0712345678 on 5/3/24 at 10:15 AM. "
        "New M-PESA balance is Ksh4,500.00. Transaction cost, Ksh0.00.",
        (Kind.CREDIT, "3000.00", "KES", "4500.00"),
    ),
    ("INR 5,000 debited by ATM", (Kind.DEBIT, "5000.00", "INR", None)),
    ("INR 5,00,000 deposited", (Kind.CREDIT, "500000.00", "INR", None)),
    ("USD 12.50 spent on card XX1", (Kind.DEBIT, "12.50", "USD", None)),
    ("Purchase of $45.10 at DELI approved", (Kind.DEBIT, "45.10", "USD", None)),
    ("US$7.5 refunded", (Kind.CREDIT, "7.50", "USD", None)),
    ("EUR 1.234,56 received. Balance: EUR 2.000,00", (Kind.CREDIT, "1234.56", "EUR", "2000.00")),
    ("1.234,56 EUR paid at REWE. Balance: 20,5 €", (Kind.DEBIT, "1234.56", "EUR", "20.50")),
    ("KES 3,000.00 sent to MARY", (Kind.DEBIT, "3000.00", "KES", None)),
    ("£1,000 withdrawn", (Kind.DEBIT, "1000.00", "GBP", None)),
    ("₹99.00 paid by UPI.", (Kind.DEBIT, "99.00", "INR", None)),
    ("Rs.1,00,000.5. debited", (Kind.DEBIT, "100000.50", "INR", None)),
    ("Rs.1,500.debited", (Kind.DEBIT, "1500.00", "INR", None)),
    ("EUR 1.500 paid", (Kind.DEBIT, "1500.00", "EUR", None)),
    ("Rs 999999999999.99 paid", (Kind.DEBIT, "999999999999.99", "INR", None)),
    ("Rs.\xa050 debited", (Kind.DEBIT, "50.00", "INR", None)),
    ("rs 7 DEBITED", (Kind.DEBIT, "7.00", "INR", None)),
    ("A/c XX9 Cr INR 80.00", (Kind.CREDIT, "80.00", "INR", None)),
    ("Rs 500 spent on Credit Card XX12. Avl Lmt Rs 50,000", (Kind.DEBIT, "500.00", "INR", None)),
    ("Rs 500 received by Debit Card refund", (Kind.CREDIT, "500.00", "INR", None)),
    # Balances.
    ("£20 paid. Bal: -£5.00", (Kind.DEBIT, "20.00", "GBP", "-5.00")),
    ("£20 paid. Bal £-5.00", (Kind.DEBIT, "20.00", "GBP", "-5.00")),
    ("Rs 20 debited. Bal:-Rs.5", (Kind.DEBIT, "20.00", "INR", "5.00")),
    ("Rs 20 debited. Bal - Rs 5", (Kind.DEBIT, "20.00", "INR", "5.00")),
    ("Rs 20 debited. Bal Rs 5.00 DR", (Kind.DEBIT, "20.00", "INR", "-5.00")),
    ("Rs 20 debited. Avl Bal: 1,234.00", (Kind.DEBIT, "20.00", "INR", "1234.00")),
    ("Rs 20 debited. Bal Rs 0.00", (Kind.DEBIT, "20.00", "INR", "0.00")),
    (
        "Available balance in A/c XX1234 as on 05-MAR-24 is INR 5,000.00. INR 100 debited",
        (Kind.DEBIT, "100.00", "INR", "5000.00"),
    ),
    ("USD 9 spent. Avl Bal INR 50,000", (Kind.DEBIT, "9.00", "USD", None)),
]

SKIPPED = [
    ("482913 is your OTP for a purchase of INR 1,499.00", SkipReason.VERIFICATION_CODE),
    ("OTP for txn of Rs 500 is 482913", SkipReason.VERIFICATION_CODE),
    ("Pre-approved loan of Rs 5,00,000 credited at once. Apply now", SkipReason.PROMOTION),
    ("Txn of Rs 500 declined", SkipReason.NOT_COMPLETED),
    ("Rs 500 will be debited on 10-Mar for NETFLIX", SkipReason.NOT_COMPLETED),
    ("Pay Rs 900 by 10-Mar to avoid late fee", SkipReason.NOT_COMPLETED),
    ("RAVI has requested Rs 500", SkipReason.NOT_COMPLETED),
    ("Payment of Rs 500 has been received on your card", SkipReason.CARD_REPAYMENT),
    ("Your parcel arrives today", SkipReason.NOT_A_TRANSACTION),
    ("Your balance is Rs 500", SkipReason.NOT_A_TRANSACTION),
    ("", SkipReason.NOT_A_TRANSACTION),
    ("debited by 500", SkipReason.NO_AMOUNT),
    ("A$500 debited", SkipReason.NO_AMOUNT),
    ("R\u017f 500 debited", SkipReason.NO_AMOUNT),
    ("\u0130NR 500 debited", SkipReason.NO_AMOUNT),
    ("Rs 0.00 credited", SkipReason.NO_AMOUNT),
    ("Rs ,.,. debited", SkipReason.NO_AMOUNT),
    ("Rs 1" + "0" * 12 + " credited", SkipReason.NO_AMOUNT),
]

MISSED = [
    "EMI of Rs 4,500 bounced. Avl Bal Rs 90,000",
    "Cheque 0042 dishonoured",
    "NACH returned unpaid",
    "Debit of Rs 500 declined due to insufficient funds",
    "Insufficient balance in A/c XX12",
    "You missed EMI no. 7",
    "Late payment fee of Rs 590 debited",
    "Your loan of Ksh2,000 is overdue",
]


@pytest.mark.parametrize(("body", "expected"), READ)
def test_a_banks_text_is_read(
    message: MakeMessage, body: str, expected: tuple[Kind, str, str, str | None]
) -> None:
    read = parse(message(body))

    kind, amount, currency, balance = expected
    left = None if balance is None else Decimal(balance)
    assert read == Transaction(kind, date(2024, 3, 5), Decimal(amount), currency, left)


@pytest.mark.parametrize(("body", "reason"), SKIPPED)
def test_what_reports_no_transaction_is_skipped_with_its_reason(
    message: MakeMessage, body: str, reason: SkipReason
) -> None:
    with pytest.raises(Unreadable) as skipped:
        parse(message(body))

    assert skipped.value.reason is reason


@pytest.mark.parametrize("body", MISSED)
def test_a_missed_payment_carries_neither_amount_nor_balance(
    message: MakeMessage, body: str
) -> None:
    assert parse(message(body)) == Transaction(Kind.MISSED, date(2024, 3, 5))


@pytest.mark.parametrize("sender", ["+91 98450 12345", "254712345678", "555-123-4567"])
def test_a_telephone_number_is_no_bank(message: MakeMessage, sender: str) -> None:
    with pytest.raises(Unreadable) as skipped:
        parse(message("Rs 500 credited", sender=sender))

    assert skipped.value.reason is SkipReason.PERSONAL_SENDER


@pytest.mark.parametrize("sender", ["AX-HDFCBK", "VM-SBIINB", "MPESA", "24273", "N26"])
def test_a_header_or_short_code_may_be_a_bank(message: MakeMessage, sender: str) -> None:
    assert parse(message("Rs 500 credited", sender=sender)).amount == 500


@pytest.mark.parametrize("sign", CURRENCIES)
def test_every_currency_sign_is_read_before_and_after_the_amount(
    message: MakeMessage, sign: str
) -> None:
    assert parse(message(f"{sign} 5.00 paid")).currency == CURRENCIES[sign]
    assert parse(message(f"paid 5.00 {sign}")).currency == CURRENCIES[sign]


@pytest.mark.parametrize(
    "text",
    [
        *("04-03-24", "4/3/2024", "04.03.2024", "04-Mar-24", "04Mar2024", "04 mar 24"),
        *("2024-03-04", "03/04/24", "3/4/2024"),
    ],
)
def test_the_day_in_the_text_counts_day_first_or_month_first(
    message: MakeMessage, text: str
) -> None:
    assert parse(message(f"Rs 5 debited on {text}", day="2024-03-05")).day == date(2024, 3, 4)


@pytest.mark.parametrize("text", ["04-02-24", "31-02-2024", "99-99-99", "10-03-2024", "10-Mar-24"])
def test_an_implausible_day_gives_way_to_the_day_of_receipt(
    message: MakeMessage, text: str
) -> None:
    assert parse(message(f"Rs 5 debited, ref {text}", day="2024-03-05")).day == date(2024, 3, 5)


def test_the_day_of_receipt_is_that_in_utc() -> None:
    late = Message.model_validate_json(
        '{"sender":"AX-HDFCBK","body":"Rs 5 paid","received_at":"2024-03-01T01:00:00+05:30"}'
    )

    assert parse(late).day == date(2024, 2, 29)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("received_at", '"2024-03-05T10:00:00"'),
        ("received_at", "1709632800"),
        ("received_at", '"0001-01-01T00:00:00+14:00"'),
        ("received_at", '"9999-12-31T23:59:59-14:00"'),
        ("received_at", '"yesterday"'),
        ("sender", '""'),
        ("sender", '"' + "A" * 65 + '"'),
        ("body", '"' + "A" * (BODY_LIMIT + 1) + '"'),
        ("body", "null"),
        ("colour", '"red"'),
    ],
)
def test_a_wrong_member_is_refused(member: str, value: str) -> None:
    members = {"sender": '"A"', "body": '"B"', "received_at": '"2024-03-05T10:00:00Z"'}
    document = ",".join(f'"{name}":{text}' for name, text in {**members, member: value}.items())

    with pytest.raises(ValidationError) as refused:
        Message.model_validate_json("{" + document + "}")

    assert [problem["loc"] for problem in refused.value.errors()] == [(member,)]


@pytest.mark.parametrize(
    "unit",
    [
        *("Rs 1", "Rs", "9", "9,", "9.", "bal ", "bal -", "bal Rs ", "payment of ", "credited "),
        *("1-1-24 ", "1-jan-24 ", "2024-01-01", " ", "INR INR ", "pay to avoid ", "\n", "₹"),
    ],
)
def test_adversarial_repetition_is_read_or_skipped(message: MakeMessage, unit: str) -> None:
    body = (unit * BODY_LIMIT)[:BODY_LIMIT]

    for text in (body, body[:-16] + " Rs 5 debited", "debited " + body[:-8]):
        try:
            assert parse(message(text)).amount >= 0
        except Unreadable as skipped:
            assert skipped.reason in SkipReason


def patterns_of(value: Any) -> Iterator[re.Pattern[str]]:
    if isinstance(value, re.Pattern):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from patterns_of(item)


def repeats_of(tree: Any, depth: int = 0) -> Iterator[tuple[int, int]]:
    """Each repetition's largest count, with how many repetitions it stands in."""
    for operation, argument in tree:
        inner = depth
        if operation in (_constants.MAX_REPEAT, _constants.MIN_REPEAT):
            yield int(argument[1]), depth
            inner += argument[1] > 1
        for part in parts_of(argument):
            yield from repeats_of(part, inner)


def parts_of(argument: Any) -> Iterator[Any]:
    if isinstance(argument, _parser.SubPattern):
        yield argument
    elif isinstance(argument, list | tuple):
        for item in argument:
            yield from parts_of(item)


PATTERNS = [found for value in vars(wording).values() for found in patterns_of(value)]


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.pattern[:40])
def test_repetitions_are_bounded_and_never_nested(pattern: re.Pattern[str]) -> None:
    """Then each attempt to match costs a constant at most, and a search is linear in the text."""
    repeats = list(repeats_of(_parser.parse(pattern.pattern, pattern.flags)))

    assert all(largest <= 64 for largest, _ in repeats)
    assert all(depth == 0 for largest, depth in repeats if largest > 1)


@pytest.mark.parametrize("pattern", ["(a+)+", "a*", "(?:a{0,9}b){0,9}", "(?:(?:a|b{2,})c)?"])
def test_the_check_for_repetitions_finds_them(pattern: str) -> None:
    repeats = list(repeats_of(_parser.parse(pattern)))

    assert any(largest > 64 or (depth and largest > 1) for largest, depth in repeats)


def test_every_pattern_is_checked() -> None:
    assert len(PATTERNS) == 1 + len(wording.MEANINGS) + 1 + 2 + 2 + len(wording.DATES)
