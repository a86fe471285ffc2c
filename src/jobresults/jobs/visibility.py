"""Whose jobs a caller can see. Every read takes one; what is not visible does not exist."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from sqlalchemy import ColumnElement

from jobresults.jobs.model import job


class _Owned(Protocol):
    @property
    def client(self) -> str: ...
    @property
    def customer(self) -> str | None: ...


class Visibility(NamedTuple):
    """The jobs of a client, or of everyone; and of these the ones of some customers, or of all and
    of none.
    """

    client: str | None
    customers: frozenset[str] | None = None

    def shows(self, job: _Owned) -> bool:
        """Whether this job is among them."""
        return (self.client is None or self.client == job.client) and (
            self.customers is None or job.customer in self.customers
        )

    def conditions(self) -> list[ColumnElement[bool]]:
        """The same for the ledger."""
        conditions: list[ColumnElement[bool]] = []
        if self.client is not None:
            conditions.append(job.c.client == self.client)
        if self.customers is not None:
            conditions.append(job.c.customer.in_(sorted(self.customers)))
        return conditions


EVERYTHING = Visibility(None)
