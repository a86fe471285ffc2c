"""What one event tells whoever is called: the record in plain members, without secrets."""

from __future__ import annotations

import logging
import traceback
from typing import Any

from jobresults.alerts import fingerprint
from jobresults.telemetry.logging_context import FIELDS
from jobresults.telemetry.redaction import hide

_MAX_TITLE_CHARACTERS = 200
_MAX_MESSAGE_CHARACTERS = 2_000
_MAX_TRACE_CHARACTERS = 10_000
_MAX_FRAMES = 50
_MAX_FIELD_CHARACTERS = 300
_MORE_FIELDS = ("queue", "http_route", "sentry_event_id")


def describe(record: logging.LogRecord) -> dict[str, Any]:
    """The members of a `Sample`. What was bound when the line was written, or came in `extra`.
    Secrets are hidden here: samples are kept in Redis, and listed.
    """
    attributes = record.__dict__
    message = hide(_message(record))
    sample = {name: _field(attributes.get(name)) for name in (*FIELDS, *_MORE_FIELDS)}
    error = record.exc_info[1] if record.exc_info else None
    title = attributes.get("alert_title") or (message if error is None else _said(error))
    frames = str(attributes.get("alert_frames") or "") if error is None else _frames(error)
    # Cut last: half a secret is not known for one.
    sample |= {
        "title": _text(hide(str(title)).partition("\n")[0], _MAX_TITLE_CHARACTERS),
        "message": _text(message, _MAX_MESSAGE_CHARACTERS),
        "logger": record.name,
        "runbook": attributes.get("alert_runbook"),
        "frames": hide(frames)[-_MAX_TRACE_CHARACTERS:].encode("utf-8", "replace").decode(),
        "cause": None if error is None else fingerprint.cause_of(error),
    }
    return sample


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001 - arguments may be anything
        return f"{record.msg} (with arguments that cannot be shown: {type(error).__name__})"


def _said(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - so may errors
        return type(error).__name__


def _frames(error: BaseException) -> str:
    """Like a printed traceback."""
    parts = []
    for link in reversed(list(fingerprint.chain_of(error))):
        stack = traceback.extract_tb(link.__traceback__, limit=-_MAX_FRAMES)
        parts.append("".join(traceback.format_list(stack)) + _said(link))
    return "\n\n".join(parts)


def _text(text: str, max_characters: int) -> str:
    return text[:max_characters].encode("utf-8", "replace").decode()


def _field(value: object) -> object:
    if value is None or isinstance(value, int):
        return value
    return _text(str(value), _MAX_FIELD_CHARACTERS)
