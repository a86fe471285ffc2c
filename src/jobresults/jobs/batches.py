"""Bounded bites: a batch of jobs that no other process is working on."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, select

from jobresults.jobs.model import job


def batch_of(
    wanted: ColumnElement[bool], size: int, *, first: ColumnElement[Any] | None = None
) -> Select[Any]:
    """The ids of up to `size` jobs, locked until the end of the transaction; those `first` that are
    lowest in this column.

    A common table expression, since PostgreSQL may run a plain subquery once for each row, and then
    takes them all.
    """
    batch = select(job.c.id).where(wanted).limit(size).with_for_update(skip_locked=True)
    if first is not None:
        batch = batch.order_by(first)
    return select(batch.cte("batch").c.id)
