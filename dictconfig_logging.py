"""The logging configuration of every process, as one dict for `logging.config.dictConfig`.

Imports the standard library only; formatters and filters are named by string, so gunicorn can
load it (`logconfig_dict`) before anything else of the service.
"""

from __future__ import annotations

import os
from collections.abc import Container
from typing import Any, Literal, TypedDict, get_args

Role = Literal["web", "worker", "maintenance", "cli"]


class LoggingOptions(TypedDict, total=False):
    """What an installation may choose; `DEFAULTS` fills in the rest. No directory: no files."""

    level: str
    format: Literal["text", "json"]
    directory: str | None
    file_max_bytes: int
    file_backups: int
    debug: bool


DEFAULTS: LoggingOptions = {
    "level": "info",
    "format": "text",
    "directory": None,
    "file_max_bytes": 10_000_000,
    "file_backups": 10,
    "debug": False,
}
FORMATTERS = {
    "text": "jobresults.telemetry.log_formats.TextFormatter",
    "json": "jobresults.telemetry.log_formats.JsonFormatter",
}
ALERT_HANDLER = "jobresults.alerts.handler.AlertHandler"
COUNT_HANDLER = "jobresults.telemetry.log_counts.LogCounter"


def logging_config(role: Role, options: LoggingOptions | None = None) -> dict[str, Any]:
    """The dict for one process. `debug` means all at DEBUG, to the console and nowhere else.

    Raises:
        ValueError: unknown role, option or format.
    """
    chosen: LoggingOptions = {**DEFAULTS, **(options or {})}
    _require_known(role, chosen)
    handlers = _handlers(role, chosen)
    level = "DEBUG" if chosen["debug"] else chosen["level"].upper()
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {chosen["format"]: {"()": FORMATTERS[chosen["format"]]}},
        "filters": {
            "context": {"()": "jobresults.telemetry.logging_context.ContextFilter"},
            "access": {"()": "jobresults.telemetry.access_log.AccessFilter"},
            "query": {"()": "jobresults.telemetry.access_log.QueryFilter"},
        },
        "handlers": handlers,
        "loggers": _loggers(level, handlers, debug=chosen["debug"]),
        "root": {
            # Below INFO libraries print URLs and statements; only `debug` asks for those.
            "level": "INFO" if level == "DEBUG" and not chosen["debug"] else level,
            "handlers": _present(handlers, "console", "error_file", "email", "slack", "count"),
        },
    }


def _handlers(role: Role, options: LoggingOptions) -> dict[str, Any]:
    written = {"formatter": options["format"], "filters": ["context"]}
    # A command's stdout belongs to its answer.
    stream = "ext://sys.stderr" if role == "cli" else "ext://sys.stdout"
    console = {"class": "logging.StreamHandler", "stream": stream, **written}
    if options["debug"]:
        return {"console": console}
    # email and slack only count, once for both: what is to be told whom is the relay's decision. A
    # handler that waits for a network would stall all who log. Below ERROR only what asks for it.
    counting = {"()": ALERT_HANDLER, "level": "WARNING", "filters": ["context"]}
    handlers = {"console": console, "email": counting, "slack": counting}
    if role != "cli":  # a command is not scraped
        handlers["count"] = {"()": COUNT_HANDLER}
    if role == "cli" or not options["directory"]:
        return handlers
    for name in ("error", "access") if role == "web" else ("error",):
        handlers[f"{name}_file"] = {
            # The standard RotatingFileHandler loses lines when processes share a file.
            "class": "concurrent_log_handler.ConcurrentRotatingFileHandler",
            # Each line takes a lock that stops the whole process: a directory per role, so that
            # roles do not wait for each other.
            "filename": os.path.join(options["directory"], role, f"{name}.log"),
            "encoding": "utf-8",
            "maxBytes": options["file_max_bytes"],
            "backupCount": options["file_backups"],
            "keep_file_open": True,
            "delay": True,
            **written,
        }
    return handlers


def _loggers(level: str, handlers: Container[str], *, debug: bool) -> dict[str, Any]:
    return {
        # gunicorn makes this logger stop propagating; unless it is named here, WORKER TIMEOUT
        # reaches none of our handlers. It has none of its own, as gunicorn lets `wsgi.errors`
        # write into their streams, and no level, so that gunicorn's own `loglevel` holds.
        "gunicorn.error": {
            "propagate": True,
            "filters": ["query"],
            **({"level": level} if debug else {}),
        },
        "gunicorn.access": {
            "level": "INFO",
            "handlers": _present(handlers, "console", "access_file"),
            "filters": ["access"],
            "propagate": False,
        },
        # RQ logs an ERROR for each attempt, also when another follows: never an alert.
        "rq.worker": {
            "level": "DEBUG" if debug else "WARNING",
            "handlers": _present(handlers, "console", "count"),
            "propagate": False,
        },
        # It tells of every look at the schema, several times at each start.
        "alembic": {"level": "DEBUG" if debug else "WARNING", "propagate": True},
        "jobresults": {"level": level, "propagate": True},
    }


def _present(handlers: Container[str], *names: str) -> list[str]:
    return [name for name in names if name in handlers]


def _require_known(role: str, options: LoggingOptions) -> None:
    for kind, given, known in (
        ("role", {role}, get_args(Role)),
        ("option", options.keys(), DEFAULTS),
        ("format", {options["format"]}, FORMATTERS),
    ):
        if unknown := given - set(known):
            raise ValueError(f"unknown {kind} {min(unknown)!r}; known: {', '.join(known)}")
