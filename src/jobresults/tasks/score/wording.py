"""How banks word their texts, as tables: extend these to read another bank.

Every repetition in a pattern is bounded and none holds another, so that reading takes time linear
in the length of the text, whatever the text.
"""

from __future__ import annotations

import re
from enum import StrEnum


class Kind(StrEnum):
    """What a message tells of."""

    CREDIT = "credit"
    DEBIT = "debit"
    MISSED = "missed"


class SkipReason(StrEnum):
    """Why a message was left out."""

    PERSONAL_SENDER = "personal_sender"
    VERIFICATION_CODE = "verification_code"
    PROMOTION = "promotion"
    NOT_COMPLETED = "not_completed"
    CARD_REPAYMENT = "card_repayment"
    NOT_A_TRANSACTION = "not_a_transaction"
    NO_AMOUNT = "no_amount"


# ASCII: otherwise U+017F passes for "s" and U+0130 for "i": signs that no table holds.
FLAGS = re.IGNORECASE | re.ASCII


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(f"(?<![a-z])(?:{pattern})(?![a-z])", FLAGS)


PERSONAL_SENDER = re.compile(r"\+?[0-9][0-9 -]{5,20}")

# The first that matches decides; without a match it is a movement of money, or nothing.
MEANINGS: tuple[tuple[Kind | SkipReason, re.Pattern[str]], ...] = (
    (
        SkipReason.VERIFICATION_CODE,
        _words("is (?:your |the )?(?:otp|one[- ]time)|otp (?:is|for)|verification code"),
    ),
    (
        SkipReason.PROMOTION,
        _words("pre-?approved|apply now|lucky draw|limited period|instant loan"),
    ),
    (
        Kind.MISSED,
        _words(
            "insufficient (?:funds?|bal(?:ance)?)|bounced|dishonou?red|returned unpaid|overdue"
            "|missed (?:emi|payment|instal?lment)"
            "|(?<!avoid )late (?:payment )?(?:fees?|charges?|penalty)"
        ),
    ),
    (
        SkipReason.NOT_COMPLETED,
        _words(
            "declined|failed|unsuccessful|has requested|is due|to avoid late"
            "|will be (?:debited|deducted|charged)"
        ),
    ),
    (SkipReason.CARD_REPAYMENT, _words("payment of .{1,40} received")),
)
# The first word wins: "your a/c is debited for Rs 500; RAVI credited".
MOVEMENT = _words(
    "(?P<credit>credit(?:ed)?(?! card)|cr|received|deposited|refunded|reversed)"
    "|(?P<debit>debit(?:ed)?(?! card)|dr|spent|withdrawn|paid|sent|transferred|purchase|charged)"
)

CURRENCIES = {  # a sign before or after an amount, in lower case → ISO 4217
    sign: code
    for code, signs in {
        "INR": ("inr", "rs", "₹"),
        "USD": ("usd", "us$", "$"),
        "EUR": ("eur", "€"),
        "GBP": ("gbp", "£"),
        "KES": ("kes", "ksh"),
        "NGN": ("ngn", "₦"),
        "AED": ("aed",),
    }.items()
    for sign in signs
}
_SIGN = "|".join(re.escape(sign) for sign in CURRENCIES)
_PREFIX = rf"(?<![a-z])(?P<currency>{_SIGN})\.?[ \xa0]{{0,2}}"
_NUMBER = "(?P<number>[0-9][0-9.,]{0,20})"

AMOUNTS = (  # "Rs. 1,23,456.78", "$45.10"; where there is none, "1.234,56 EUR"
    re.compile(_PREFIX + _NUMBER, FLAGS),
    re.compile(rf"(?<![0-9.,]){_NUMBER}[ \xa0]?(?P<currency>{_SIGN})(?![a-z])", FLAGS),
)
BALANCES = tuple(
    re.compile(
        rf"(?<![a-z])bal(?:ance)?(?![a-z]){between}(?P<minus>(?<!:)-)?{prefix}(?P<inner_minus>-)?"
        rf"{_NUMBER}(?P<overdrawn> ?(?:dr|od))?(?![-/0-9a-z])",
        FLAGS,
    )
    for between, prefix in (
        ("[ :.is-]{0,6}?", f"(?:{_PREFIX})?"),  # "Bal 500", "Bal:-Rs.500 DR", "balance is -500.00"
        (r"[^.;\n]{0,40}?", _PREFIX),  # "balance in A/c XX12 as on 05-MAR-24 is INR 500"
    )
)
DATES = (  # three parts, and the orders they are tried in
    (re.compile("([0-9]{4})-([0-9]{2})-([0-9]{2})"), ("%Y-%m-%d",)),
    (
        re.compile("([0-9]{1,2})[-/. ]?([a-z]{3})[-/. ]?([0-9]{2,4})", FLAGS),
        ("%d-%b-%y", "%d-%b-%Y"),
    ),
    (
        re.compile("([0-9]{1,2})[-/.]([0-9]{1,2})[-/.]([0-9]{2,4})"),
        ("%d-%m-%y", "%d-%m-%Y", "%m-%d-%y", "%m-%d-%Y"),
    ),
)
