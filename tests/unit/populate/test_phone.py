"""What is known of made-up customers is what the shipped score makes of their messages."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

from jobresults.jobs.context import JobContext, running
from jobresults.populate.phone import Message, phone_of
from jobresults.tasks.score import score
from jobresults.tasks.score.messages import Message as Sms

Change = Callable[[dict[str, Any]], object]


def scored(customer: str, messages: list[Message]) -> dict[str, Any]:
    """As the service answers it."""
    with running(JobContext(customer=customer)):
        result = score(
            messages=[Sms.model_validate_json(json.dumps(message)) for message in messages]
        )
    return result.model_dump(mode="json")


def test_the_score_of_every_phone_says_what_is_known_of_it() -> None:
    contradictions = set()
    kinds = set()
    for number in range(150):
        messages, truth = phone_of("ann", f"phone {number}")
        contradictions.add(truth.contradiction(scored("ann", messages)))
        kinds.add((truth.counts["messages_duplicate"] > 0, len(truth.months) > 9))
        kinds.add(("missed", any(month.missed_payments for month in truth.months)))
    assert contradictions == {None}
    assert len(kinds) == 5, "the phones differ"


def test_the_same_seed_makes_the_same_phone() -> None:
    assert phone_of("ann", "1") == phone_of("ann", "1")
    assert phone_of("ann", "1") != phone_of("ann", "2")


CHANGES: dict[str, Change] = {
    "is the score of 'bob'": lambda answer: answer.update(customer="bob"),
    "currency is EUR": lambda answer: answer.update(currency="EUR"),
    "score is 1,": lambda answer: answer.update(score=1),
    "score is 600": lambda answer: answer.update(score=600, points=[]),
    "messages_total is 1": lambda answer: answer["counts"].update(messages_total=1),
    "months are []": lambda answer: answer.update(months=[]),
    "income=100,": lambda answer: answer["months"][0].update(income="1.00"),
    "missed_payments=9": lambda answer: answer["months"][0].update(missed_payments=9),
    "KeyError 'months'": lambda answer: answer.pop("months"),
    "InvalidOperation": lambda answer: answer["months"][0].update(income="much"),
}


def test_any_other_answer_is_contradicted_with_a_reason() -> None:
    messages, truth = phone_of("ann", "1")
    right = scored("ann", messages)
    for reason, change in CHANGES.items():
        answer = copy.deepcopy(right)
        change(answer)
        assert reason in (truth.contradiction(answer) or "")
    for nonsense in (None, 3, [], "score"):
        assert truth.contradiction(nonsense) is not None
