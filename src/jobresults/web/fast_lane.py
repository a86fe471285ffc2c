"""A lane in front of Flask for what callers ask most: the result of one job, plainly asked for.

It only reads the request's line; all it answers comes from the functions that Flask's views call.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from jobresults.accounts.principal import Scope
from jobresults.errors import TooManyRequests
from jobresults.jobs.reader import READ_FROM_MEMORY
from jobresults.jobs.states import State
from jobresults.telemetry.logging_context import bound
from jobresults.web import problems, results
from jobresults.web.authentication import authenticate, bearer_token
from jobresults.web.reply import Reply
from jobresults.web.request_context import request_id
from jobresults.web.request_counts import ROUTE
from jobresults.web.security_headers import security_headers
from jobresults.web.services import Services, visible_to

_SCOPE = Scope.READ
_ID = r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
_ID_AND_WAIT = re.compile(rf"job_id={_ID}(?:&wait=([0-9]{{1,6}}))?")
_PATH = re.compile(rf"/v1/jobs/{_ID}/result")
_WAIT = re.compile(r"(?:wait=([0-9]{1,6}))?")


class FastLane:
    """WSGI middleware around all else: `serve` is the application. Not `__call__`, which takes C
    stack that each waiting request would keep.
    """

    def __init__(self, application: Any, services: Services) -> None:
        self._application = application
        self._services = services

    def serve(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer the request, or pass it on."""
        asked = _asked(environ)
        if asked is None:
            passed_on: Iterable[bytes] = self._application(environ, start_response)
            return passed_on
        id_ = request_id(environ)
        reply = self._from_memory(environ, *asked)
        if reply is None:
            with bound(request_id=id_):
                reply = self._answer(environ, *asked)
        reply.add_header("X-Request-ID", id_)
        reply.headers.extend(security_headers(environ))
        return reply.send(start_response)

    def _from_memory(self, environ: dict[str, Any], job_id: str, wait: str | None) -> Reply | None:
        """The answer, if key, job and result are in memory: nothing here waits, fails or logs."""
        token = bearer_token(environ.get("HTTP_AUTHORIZATION", ""))
        principal = self._services.keys.remembered(token)
        if principal is None or _SCOPE not in principal.scopes:
            return None
        record = self._services.reader.remembered(job_id, visible_to(principal))
        if record is None or record.state != State.SUCCEEDED:
            return None
        try:
            self._services.rates.let_in(principal)
        except TooManyRequests:
            return None
        READ_FROM_MEMORY.inc()
        return results.ended_reply(record, results.Question(job_id, wait, principal, environ))

    def _answer(self, environ: dict[str, Any], job_id: str, wait: str | None) -> Reply:
        try:
            credentials = environ.get("HTTP_AUTHORIZATION", "")
            principal = authenticate(self._services.keys, credentials, _SCOPE)
            self._services.rates.let_in(principal)
            question = results.Question(job_id, wait, principal, environ)
            return results.answer(self._services, question)
        except Exception as error:  # noqa: BLE001 - an edge: the caller is told
            return problems.reply_to(error, "GET", environ["PATH_INFO"])


def _asked(environ: dict[str, Any]) -> tuple[str, str | None] | None:
    """The job's id and the wait, if the request is a plain one; its route is noted then."""
    if environ["REQUEST_METHOD"] != "GET":
        return None
    path, query = environ["PATH_INFO"], environ.get("QUERY_STRING", "")
    if path == "/get_result":
        found = _ID_AND_WAIT.fullmatch(query)
        if found is None:
            return None
        environ[ROUTE] = "/get_result"
        return found[1], found[2]
    of_path = _PATH.fullmatch(path)
    if of_path is None or (wait := _WAIT.fullmatch(query)) is None:
        return None
    environ[ROUTE] = "/v1/jobs/<job_id>/result"
    return of_path[1], wait[1]
