"""Spans of what a request asks of others: SQL statements and Redis commands, without their values.

Only within a span that is recorded. Whatever serves many jobs at once, as a worker's transactions
do, belongs to no trace.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import redis
from redis.client import Pipeline
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import ExceptionContext

from jobresults.telemetry import tracing
from jobresults.telemetry.tracing import Kind, Span, Value

_MAX_STATEMENT_CHARACTERS = 2_000
_KEY = "jobresults_span"
_TABLE = re.compile(r"\b(?:INTO|FROM|UPDATE)\s+\"?(\w+)", re.IGNORECASE)


def watch_clients() -> None:
    """Make spans from now on, of all engines and of all Redis clients of this process."""
    if event.contains(Engine, "before_cursor_execute", _before_statement):
        return
    event.listen(Engine, "before_cursor_execute", _before_statement)
    event.listen(Engine, "after_cursor_execute", _after_statement)
    event.listen(Engine, "handle_error", _failed_statement)
    redis.Redis.execute_command = _watched(  # type: ignore[method-assign]
        redis.Redis.execute_command, lambda _client, arguments: (str(arguments[0]), {})
    )
    Pipeline.execute = _watched(Pipeline.execute, _of_pipeline)  # type: ignore[method-assign]


def _before_statement(
    connection: Connection,
    _cursor: Any,
    statement: str,
    parameters: Any,
    _context: Any,
    executemany: bool,
) -> None:
    connection.info.pop(_KEY, None)
    span = _begin(*_summary(statement), {"db.system.name": connection.dialect.name})
    if span is None:
        return
    span.attributes["db.query.text"] = statement[:_MAX_STATEMENT_CHARACTERS]
    if executemany and len(parameters) > 1:
        span.attributes["db.operation.batch.size"] = len(parameters)
    connection.info[_KEY] = span


def _after_statement(connection: Connection, *_: Any) -> None:
    span = connection.info.pop(_KEY, None)
    if span is not None:
        tracing.end(span)


def _failed_statement(failure: ExceptionContext) -> None:
    if failure.connection is None:
        return
    span = failure.connection.info.pop(_KEY, None)
    if span is not None:
        span.error = type(failure.original_exception).__name__
        tracing.end(span)


@functools.lru_cache(maxsize=512)
def _summary(statement: str) -> tuple[str, str | None]:
    """The statement's first word, and the table it names first."""
    words = statement.split(None, 1)
    table = _TABLE.search(statement)
    return words[0].upper() if words else "SQL", None if table is None else table[1]


def _of_pipeline(pipeline: Any, _arguments: Any) -> tuple[str, dict[str, Value]]:
    return "PIPELINE", {"db.operation.batch.size": len(pipeline.command_stack)}


def _watched(
    call: Callable[..., Any], describe: Callable[[Any, Any], tuple[str, dict[str, Value]]]
) -> Callable[..., Any]:
    @functools.wraps(call)
    def watched(client: Any, *arguments: Any, **options: Any) -> Any:
        if tracing.current() is None:
            return call(client, *arguments, **options)
        operation, details = describe(client, arguments)
        span = _begin(operation, None, {"db.system.name": "redis", **details})
        if span is None:
            return call(client, *arguments, **options)
        try:
            return call(client, *arguments, **options)
        except BaseException as error:
            span.error = type(error).__name__
            raise
        finally:
            tracing.end(span)

    return watched


def _begin(operation: str, table: str | None, attributes: dict[str, Value]) -> Span | None:
    trace = tracing.current()
    if trace is None or not tracing.is_wanted(trace):
        return None
    attributes["db.operation.name"] = operation
    if table is not None:
        attributes["db.collection.name"] = table
    name = operation if table is None else f"{operation} {table}"
    return tracing.begin(name, Kind.CLIENT, trace.child(), attributes)
