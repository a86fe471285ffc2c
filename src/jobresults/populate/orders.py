"""What a run hands in: the same orders for the same seed."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from jobresults.populate.phone import Truth, phone_of

SCORE = "score"
_VARIANTS = 3  # sets of messages of each customer, so that the same input comes again
_KEPT_ORDERS = 512
_KEPT_DIGESTS = 100_000


@dataclass(frozen=True)
class Order:
    """A job to be handed in. Those of one `name` are the same; `truths` are all that the customer's
    score may say, its own first; none for a task that nothing is known of.
    """

    name: str
    task: str
    customer: str | None
    params: bytes
    truths: tuple[Truth, ...] = ()

    def as_job(self, **members: Any) -> bytes:
        """The body of `POST /v1/jobs`."""
        known = {"task": self.task, "customer": self.customer, **members}
        head = json.dumps({name: value for name, value in known.items() if value is not None})
        return head[:-1].encode() + b', "params": ' + self.params + b"}"

    def as_device_sms(self) -> bytes:
        """The body of `POST /userdevicesms`."""
        head = json.dumps({"cust_id": self.customer})
        return head[:-1].encode() + b", " + self.params[1:]


class Orders:
    """Orders of one task for a number of customers: scores of made-up customers or, given params,
    always these.
    """

    def __init__(self, seed: int, customers: int, task: str, params: dict[str, Any] | None) -> None:
        self._seed = seed
        self._customers = customers
        self._task = task
        self._params = params
        self._order = lru_cache(_KEPT_ORDERS)(self._make)

    @property
    def are_scores(self) -> bool:
        """Whether what must come back is known."""
        return self._params is None

    def draw(self, chance: random.Random) -> Order:
        """One of them."""
        return self._order(chance.randrange(self._customers), chance.randrange(_VARIANTS))

    def _make(self, number: int, variant: int) -> Order:
        customer = f"populate-{self._seed}-{number + 1}"
        if self._params is not None:
            params = json.dumps(self._params).encode()
            return Order(customer, self._task, customer, params)
        phones = [phone_of(customer, f"{customer}/{each}") for each in range(_VARIANTS)]
        messages, own = phones[variant]
        others = [truth for _, truth in phones if truth is not own]
        return Order(
            f"{customer}/{variant}",
            self._task,
            customer,
            json.dumps({"messages": messages}, separators=(",", ":")).encode(),
            (own, *others),
        )


class Answers:
    """What each order was answered, so that the same order must be answered the same again, and
    another's answer is known as such. Dictionary operations are atomic: threads share it.
    """

    def __init__(self) -> None:
        self._digests: dict[str, bytes] = {}
        self._owners: dict[bytes, str] = {}

    def first(self, order: Order, content: bytes) -> bool:
        """Whether the order was never answered otherwise."""
        digest = _digest(content)
        if len(self._digests) >= _KEPT_DIGESTS:
            return self._digests.get(order.name, digest) == digest
        self._owners.setdefault(digest, order.name)
        return self._digests.setdefault(order.name, digest) == digest

    def owner(self, content: bytes) -> str | None:
        """The order that was first answered so."""
        return self._owners.get(_digest(content))


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()
