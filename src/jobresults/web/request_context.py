"""The request's id: taken from `X-Request-ID` or made, bound to every log line, sent back with
every answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import uuid_utils

from jobresults.telemetry.logging_context import bound

_ACCEPTABLE = re.compile(r"[A-Za-z0-9._:-]{1,100}")


def request_id(environ: dict[str, Any]) -> str:
    """The id the caller gave, or a new one."""
    given = environ.get("HTTP_X_REQUEST_ID")
    if given is not None and _ACCEPTABLE.fullmatch(given):
        return str(given)
    return uuid_utils.uuid7().hex


class RequestContext:
    """WSGI middleware around Flask, framework errors included: `serve` is the application."""

    def __init__(self, application: Any) -> None:
        self._application = application

    def serve(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer the request within its context."""
        id_ = request_id(environ)

        def start_with_id(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start_response(status, [*headers, ("X-Request-ID", id_)], *rest)

        with bound(request_id=id_):
            answer: Iterable[bytes] = self._application(environ, start_with_id)
        return answer
