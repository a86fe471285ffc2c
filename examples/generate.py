"""Makes the sample customers beside it: `<customer>.json`, each a body for `POST /add/<customer>`.

python examples/generate.py           write them
python examples/generate.py --check   write nothing; exit 1 and name the files that would change

The texts follow what banks send; all names and numbers are made up. Every run makes the same files.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

HERE = Path(__file__).resolve().parent
SHOPS = ("BIGBASKET", "DMART", "SWIGGY", "IRCTC", "AMAZON", "FLIPKART", "APOLLO", "INDIANOIL")
PEOPLE = ("RAVI KUMAR", "ANITA RAO", "SURESH P", "MEERA NAIR", "IMRAN KHAN")
NOISE = (
    (
        "VM-HDFCBK",
        "482913 is your OTP for a purchase of INR 1,499.00. Do not share it with anyone.",
    ),
    ("AD-QKLOAN", "Pre-approved instant loan of Rs 5,00,000 for you! Apply now: loans.example"),
    ("+91 98450 12345", "I have paid Rs 300 for lunch, send me your half when you can"),
    ("VK-BLUDRT", "Your parcel will arrive today between 2 and 5 pm."),
    ("AX-HDFCBK", "Your bill of Rs 1,250.00 is due on the 25th."),
    ("VM-AXISBK", "UPI payment of Rs 899.00 failed. Money taken will be returned in 3 days."),
)


def western(hundredths: int) -> str:
    """123456789 → 1,234,567.89"""
    return f"{hundredths / 100:,.2f}"


def european(hundredths: int) -> str:
    """123456789 → 1.234.567,89"""
    return western(hundredths).translate(str.maketrans(",.", ".,"))


def indian(hundredths: int) -> str:
    """123456789 → 12,34,567.89"""
    sign, (whole, cents) = "-" * (hundredths < 0), divmod(abs(hundredths), 100)
    head, tail = str(whole)[:-3], str(whole)[-3:]
    pairs = [head[max(0, end - 2) : end] for end in range(len(head), 0, -2)]
    return f"{sign}{','.join([*reversed(pairs), tail])}.{cents:02}"


class Phone:
    """One customer's messages and, in hundredths, the balance of the account they tell of."""

    def __init__(self, customer: str, bank: str = "", balance: int = 0) -> None:
        self.random = random.Random(customer)
        self.bank = bank
        self.balance = balance
        self.write = indian
        self.messages: list[dict[str, str]] = []

    def receive(self, sender: str, body: str, day: datetime) -> None:
        at = day + timedelta(seconds=self.random.randrange(7 * 3600, 21 * 3600))
        received_at = f"{at:%Y-%m-%dT%H:%M:%SZ}"
        self.messages.append({"sender": sender, "body": body, "received_at": received_at})

    def move(self, text: str, day: datetime, amount: int, who: str = "") -> None:
        """A payment in (above 0) or out; `text` may name {amount}, {balance}, {day} and {who}."""
        self.balance += amount
        written = {"amount": self.write(abs(amount)), "balance": self.write(self.balance)}
        self.receive(self.bank, text.format(**written, day=day, who=who), day)

    def noise(self, day: datetime) -> None:
        self.receive(*self.random.choice(NOISE), day)

    def between(self, low: int, high: int) -> int:
        """An amount from `low` to under `high` units, in hundredths."""
        return self.random.randrange(low * 100, high * 100)

    def day_of(self, month: datetime, first: int, last: int) -> datetime:
        return month.replace(day=self.random.randint(first, last))


def months(count: int, year: int = 2024) -> Iterator[datetime]:
    for index in range(count):
        yield datetime(year + index // 12, index % 12 + 1, 1, tzinfo=UTC)


def salaried() -> Phone:
    """Twelve months of a salary, rent and the rest; nothing missed."""
    phone = Phone("salaried", bank="AX-HDFCBK", balance=85_000_00)
    salary = (
        "INR {amount} credited to A/c XX4821 on {day:%d-%b-%y}: SALARY ACME. Avl bal INR {balance}"
    )
    rent = "Rs.{amount} debited from A/c XX4821 on {day:%d-%m-%y}; {who} credited. Bal Rs.{balance}"
    shop = "INR {amount} spent on Debit Card XX07 at {who} on {day:%d-%b-%y}. Avl bal INR {balance}"
    for month in months(12):
        phone.move(salary, month, 65_000_00)
        phone.move(rent, month.replace(day=3), -18_000_00, "ANITA RAO")
        for day in sorted(phone.day_of(month, 4, 28) for _ in range(10)):
            phone.move(shop, day, -phone.between(1_000, 5_500), phone.random.choice(SHOPS))
        phone.noise(phone.day_of(month, 1, 28))
    return phone


def irregular() -> Phone:
    """Seven months of a freelancer's mobile money: good months, poor months, one missed payment."""
    phone = Phone("irregular", bank="MPESA", balance=6_000_00)
    phone.write = western
    paid = (
        "QF{day:%d%m}A Confirmed. You have received Ksh{amount} from {who} on {day:%d/%m/%y}. "
        "New M-PESA balance is Ksh{balance}."
    )
    sent = (
        "QG{day:%d%m}B Confirmed. Ksh{amount} sent to {who} on {day:%d/%m/%y}. "
        "New M-PESA balance is Ksh{balance}. Transaction cost, Ksh11.00."
    )
    for month, income in zip(months(7), (52, 9, 31, 6, 44, 12, 38), strict=True):
        phone.move(paid, phone.day_of(month, 2, 9), income * 1_000_00, "WANJIKU STUDIO")
        for day in sorted(phone.day_of(month, 10, 28) for _ in range(6)):
            amount = min(phone.between(2_500, 6_500), phone.balance // 2)
            phone.move(sent, day, -amount, phone.random.choice(("NAIVAS", "KPLC", "JOHN OTIENO")))
        phone.noise(phone.day_of(month, 1, 28))
    overdue = "Your M-SHWARI loan of Ksh2,000.00 is overdue. Repay today to keep your limit."
    phone.receive("MSHWARI", overdue, datetime(2024, 4, 20, tzinfo=UTC))
    return phone


def overdrawn() -> Phone:
    """Six months of spending more than comes in: bounced instalments, a late fee, debts."""
    phone = Phone("overdrawn", bank="VM-SBIINB", balance=4_000_00)
    wage = "A/c X9917 credited by Rs {amount} on {day:%d%b%y}. Bal Rs {balance} -SBI"
    paid = "A/c X9917 debited by Rs {amount} on {day:%d%b%y} trf to {who}. Bal Rs {balance} -SBI"
    bounced = "EMI of Rs 4,500.00 for loan XX31 bounced on {:%d-%m-%Y}: insufficient funds."
    for month in months(6):
        phone.move(wage, month.replace(day=5), 21_000_00)
        for day in sorted(phone.day_of(month, 6, 26) for _ in range(8)):
            phone.move(paid, day, -phone.between(1_900, 4_200), phone.random.choice(PEOPLE))
        due = month.replace(day=27)
        phone.receive("VM-BAJAJF", bounced.format(due), due)
        phone.noise(month.replace(day=28))
    late_fee = "Late payment fee of Rs 590.00 charged to card XX22."
    phone.receive("VM-SBICRD", late_fee, datetime(2024, 6, 28, tzinfo=UTC))
    return phone


def empty() -> Phone:
    """A phone without messages."""
    return Phone("empty")


def malformed() -> Phone:
    """Texts with nothing to read: noise, cut-off texts, amounts of no currency, controls."""
    phone, day = Phone("malformed"), datetime(2024, 5, 1, tzinfo=UTC)
    for sender, body in NOISE:
        phone.receive(sender, body, day)
    for body in (
        "",
        " \t ",
        "\x01\x02\x7f",
        '{"amount": "Rs 500"}',
        "Your a/c is credited with Rs",
        "debited by 500",
        "Rs ,.,. debited",
        "Rs 0.00 credited",
        "INR INR INR INR debited",
        "Rs " + "9" * 400 + " credited",
        "<script>alert('credited')</script>",
        "\U0001f4b8 \u202e detiderc 005 sR",
        "Dear customer, " * 100,
    ):
        phone.receive("AX-HDFCBK", body, day)
    return phone


def several_currencies() -> Phone:
    """Eight months of an account in euros, with a few payments in dollars and pounds."""
    phone = Phone("several_currencies", bank="N26", balance=2_400_00)
    phone.write = european
    for month in months(8):
        wage = "EUR {amount} received from ACME GMBH on {day:%d.%m.%Y}. Balance: EUR {balance}"
        rent = "EUR {amount} transferred to WOHNBAU AG on {day:%d.%m.%Y}. Balance: EUR {balance}"
        shop = "{amount} EUR paid at REWE on {day:%d.%m.%Y}. Balance: {balance} EUR"
        phone.move(wage, month, 3_150_00)
        phone.move(rent, month.replace(day=2), -980_00)
        for day in sorted(phone.day_of(month, 3, 27) for _ in range(9)):
            phone.move(shop, day, -phone.between(60, 290))
        dollars, pounds = western(phone.between(5, 90)), western(phone.between(5, 60))
        phone.receive("CHASE", f"Purchase of ${dollars} at DELI approved.", month.replace(day=12))
        phone.receive("BARCLAYS", f"£{pounds} spent at TFL, card 0042.", month.replace(day=19))
    return phone


def heavy() -> Phone:
    """Five thousand messages of a shop: two years of small payments in, stock and wages out."""
    phone = Phone("heavy", bank="AX-ICICIB", balance=250_000_00)
    taken = "A/c XX310 credited INR {amount} on {day:%d-%b-%y} by UPI. Bal INR {balance}"
    spent = "A/c XX310 debited INR {amount} on {day:%d-%b-%y}; {who} credited. Bal INR {balance}"
    for index, month in enumerate(months(24, year=2023)):
        for number in range(209 if index < 8 else 208):
            day = month.replace(day=1 + number * 28 // 209)
            if number % 40 == 0:
                phone.noise(day)
            elif number % 8 == 7:
                phone.move(spent, day, -phone.between(3_000, 4_500), phone.random.choice(PEOPLE))
            else:
                phone.move(taken, day, phone.between(200, 1_200))
    return phone


CUSTOMERS = (salaried, irregular, overdrawn, empty, malformed, several_currencies, heavy)


def render(phone: Phone) -> bytes:
    """The request body, one message a line, in the order they were received."""
    messages = sorted(phone.messages, key=lambda message: message["received_at"])
    lines = [json.dumps(item, ensure_ascii=False, separators=(",", ":")) for item in messages]
    return ('{"messages":[' + ",".join("\n" + line for line in lines) + "]}\n").encode()


def main() -> None:
    summary = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(description=summary)
    parser.add_argument("--check", action="store_true", help="only say which files would change")
    check = parser.parse_args().check
    differing = []
    for customer in CUSTOMERS:
        path, body = HERE / f"{customer.__name__}.json", render(customer())
        if path.is_file() and path.read_bytes() == body:
            continue
        differing.append(path.name)
        if not check:
            path.write_bytes(body)
    if check and differing:
        sys.exit(f"not as generated: {', '.join(differing)}; run python examples/generate.py")


if __name__ == "__main__":
    main()
