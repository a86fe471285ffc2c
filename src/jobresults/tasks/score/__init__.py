"""The `score` task: a customer's bank SMS in, a credit score with its reasons out.

`messages` reads single texts by the tables in `wording`, `features` sums them up by month, and
`scorecard` turns the sums into points. For real lending, fit the points to the lender's own
defaults; the computation stays the same.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated

from pydantic import BaseModel, Field

from jobresults import PermanentError, current_job, task
from jobresults.tasks.score.features import Month, features_of
from jobresults.tasks.score.messages import Message, Transaction, Unreadable, parse
from jobresults.tasks.score.scorecard import (
    Points,
    Reason,
    odds_of,
    points_of,
    reasons_for,
    score_of,
)
from jobresults.tasks.score.wording import SkipReason

BATCH_SIZE = 250


class Counts(BaseModel):
    """What became of the messages: total = duplicate + parsed + all skipped."""

    messages_total: int
    messages_duplicate: int
    messages_parsed: int
    messages_skipped: dict[SkipReason, int] = Field(description="by reason")
    transactions_scored: int = Field(description="in the main currency, within the last 12 months")
    other_currencies: dict[str, int] = Field(description="transactions left out, by currency")


class Score(BaseModel):
    """A credit score and what explains it; `score` is null where no transaction could be read."""

    customer: str | None
    score: int | None
    odds: float | None = Field(description="good customers to each bad one at this score")
    probability_of_default: float | None
    reasons: list[Reason] = Field(description="where most points were lost, worst first")
    points: list[Points] = Field(description="600 plus all of these is the score")
    currency: str | None = Field(description="of all amounts in `months`; the one most used")
    months: list[Month]
    counts: Counts


@task(name="score", timeout_seconds=60)
def score(messages: Annotated[list[Message], Field(max_length=20_000)]) -> Score:
    """Score a customer from the bank SMS on their device.

    Whatever is not a bank's text on a transaction is counted and left out, never an error. The
    result depends on the set of messages only: neither their order nor repetitions matter.
    """
    job = current_job()
    unique = list(dict.fromkeys(messages))
    transactions, skipped = _read(unique)
    job.log.info("read %d transactions from %d messages", len(transactions), len(unique))

    features = features_of(transactions)
    points = points_of(features)
    value = score_of(points)
    odds = None if value is None else odds_of(value)
    job.log.info("score %s from %d months of history", value, features.history_months)
    return Score(
        customer=job.customer,
        score=value,
        odds=None if odds is None else round(odds, 4),
        probability_of_default=None if odds is None else round(1 / (1 + odds), 6),
        reasons=reasons_for(points),
        points=points,
        currency=features.currency,
        months=features.months,
        counts=Counts(
            messages_total=len(messages),
            messages_duplicate=len(messages) - len(unique),
            messages_parsed=len(transactions),
            messages_skipped=dict(sorted(skipped.items())),
            transactions_scored=sum(month.transactions for month in features.months),
            other_currencies=features.other_currencies,
        ),
    )


def _read(messages: list[Message]) -> tuple[list[Transaction], Counter[SkipReason]]:
    job = current_job()
    transactions: list[Transaction] = []
    skipped: Counter[SkipReason] = Counter()
    for start in range(0, len(messages), BATCH_SIZE):
        if job.cancel_requested:
            raise PermanentError(f"canceled after {start} of {len(messages)} messages")
        job.progress(start, len(messages), "reading messages")
        for message in messages[start : start + BATCH_SIZE]:
            try:
                transactions.append(parse(message))
            except Unreadable as unreadable:
                skipped[unreadable.reason] += 1
    job.progress(len(messages), len(messages), "all messages read")
    return transactions, skipped
