"""How a record is written: a line for people, or a JSON object for machines."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from pythonjsonlogger import json

from jobresults.telemetry import access_log, identity, logging_context
from jobresults.telemetry.control_characters import escape
from jobresults.telemetry.redaction import hide

# Where a secret may stand: the other members are ours, or were cleaned when they were bound.
_FREE_TEXTS = frozenset({"message", "exc_info", "stack_info", "path"})
_TEXT_FIELDS = ("bytes", "duration_ms", "client_ip", "request_id", "job_id", "trace_id")


class TextFormatter(logging.Formatter):
    """A line per record. Tracebacks take more, indented, so that no input can forge a record."""

    default_msec_format = "%s.%03d"

    def format(self, record: logging.LogRecord) -> str:
        time, message = self.formatTime(record), record.getMessage()
        line = f"{time} {record.levelname:<8} {record.name}: {message}"
        for name in _TEXT_FIELDS:
            if (value := getattr(record, name, None)) is not None:
                line += f" {name}={value}"
        trace = self.formatException(record.exc_info) if record.exc_info else record.exc_text
        below = hide("\n".join(filter(None, [trace, record.stack_info])))
        return "\n  ".join(map(escape, [hide(line), *below.splitlines()]))


class JsonFormatter(json.JsonFormatter):
    """A JSON object per record, with a closed set of members.

    All others, in `extra` or in a dict logged as message, are left out: libraries put a call's
    arguments there.
    """

    def __init__(self) -> None:
        super().__init__(static_fields={"pod": identity.pod(), "version": identity.version()})

    def add_fields(
        self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        attributes = record.__dict__
        log_data["timestamp"] = _rfc3339(record.created)
        log_data["level"] = record.levelname
        log_data["logger"] = record.name
        log_data["message"] = record.message or record.getMessage()
        log_data.update((name, attributes.get(name)) for name in logging_context.FIELDS)
        log_data.update(self.static_fields)
        for source, names in (
            (attributes, access_log.FIELDS),
            (message_dict, ("exc_info", "stack_info")),
        ):
            log_data.update((name, source[name]) for name in names if name in source)

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        for name in _FREE_TEXTS & log_data.keys():
            log_data[name] = hide(str(log_data[name]))
        return {name: _encodable(value) for name, value in log_data.items()}


def _rfc3339(seconds: float) -> str:
    time = datetime.fromtimestamp(seconds, UTC)
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _encodable(value: object) -> object:
    """Without lone surrogates: strict JSON parsers refuse a line for one."""
    if not isinstance(value, str) or value.isascii():
        return value
    return value.encode("utf-8", "backslashreplace").decode("utf-8")
