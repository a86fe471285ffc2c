"""Whom and what a log line is about: fields bound to the running context, put on every record."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import TypedDict, Unpack

from jobresults.telemetry.control_characters import escape

MAX_FIELD_CHARACTERS = 200


class ContextFields(TypedDict, total=False):
    """What may be bound. `None` unbinds."""

    request_id: str | None
    job_id: str | None
    task: str | None
    customer: str | None
    client: str | None
    trace_id: str | None
    attempt: int | None


FIELDS = tuple(ContextFields.__annotations__)
_NOTHING: Mapping[str, object] = MappingProxyType({})
_bound: ContextVar[Mapping[str, object]] = ContextVar("jobresults_log_fields", default=_NOTHING)


class bound:
    """Add fields to every record logged inside; at the end all is as before, `bind` included.

    A server keeps one greenlet per connection, so whatever stays bound reaches the next request.
    """

    __slots__ = ("_fields", "_token")

    def __init__(self, **fields: Unpack[ContextFields]) -> None:
        self._fields = fields

    def __enter__(self) -> None:
        self._token = _bound.set(_merged(self._fields))

    def __exit__(self, *_: object) -> None:
        _bound.reset(self._token)


def bind(**fields: Unpack[ContextFields]) -> None:
    """Add fields that become known on the way; the `bound` block around it takes them off again."""
    _bound.set(_merged(fields))


def clean(value: object) -> str:
    """A foreign value as one line of at most `MAX_FIELD_CHARACTERS`."""
    text = str(value)[:MAX_FIELD_CHARACTERS]
    if text.isascii() and text.isprintable():  # as nearly all are
        return text
    return escape(text)[:MAX_FIELD_CHARACTERS]


class ContextFilter(logging.Filter):
    """Gives each record all `FIELDS`, `None` where nothing is bound. `extra` takes precedence."""

    def filter(self, record: logging.LogRecord) -> bool:
        fields, attributes = _bound.get(), record.__dict__
        for name in FIELDS:
            attributes.setdefault(name, fields.get(name))
        return True


def _merged(fields: ContextFields) -> Mapping[str, object]:
    merged = dict(_bound.get())
    for name, value in fields.items():
        merged[name] = value if value is None or isinstance(value, int) else clean(value)
    return merged


def current(name: str) -> object:
    """What is bound under a field's name right now; None if nothing is."""
    return _bound.get().get(name)
