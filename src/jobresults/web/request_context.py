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


class RequestContext:
    """WSGI middleware around the whole application, framework errors included: `serve` is it."""

    def __init__(self, application: Any) -> None:
        self._application = application

    def serve(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer the request within its context."""
        request_id = environ.get("HTTP_X_REQUEST_ID")
        if request_id is None or not _ACCEPTABLE.fullmatch(request_id):
            request_id = uuid_utils.uuid7().hex

        def start_with_id(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start_response(status, [*headers, ("X-Request-ID", request_id)], *rest)

        with bound(request_id=request_id):
            answer: Iterable[bytes] = self._application(environ, start_with_id)
        return answer
