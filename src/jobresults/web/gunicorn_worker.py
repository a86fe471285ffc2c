"""gunicorn's gevent worker and logger, at less cost a request and with a turn for every connection.

What gunicorn itself does for a request is the larger part of what an answer from memory costs.
"""

from __future__ import annotations

import functools
import logging
import re
import time
from datetime import timedelta
from email.utils import formatdate
from typing import Any

import gevent
from gunicorn import util
from gunicorn.glogging import Logger
from gunicorn.http import wsgi
from gunicorn.http.errors import InvalidHeader
from gunicorn.workers.ggevent import GeventWorker

from jobresults.web import problems
from jobresults.web.request_counts import RequestCounts
from jobresults.web.security_headers import security_headers

_SHORT_BYTES = 65_536
_DETAIL_CHARACTERS = 200
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~%-]+)(?::[0-9]{1,5})?")


class Worker(GeventWorker):  # type: ignore[misc]  # gunicorn has no types
    """Serves each connection's requests in turn with those of all others."""

    slot: int  # of its metrics; the master knows it, too
    counts: RequestCounts | None = None

    def init_process(self) -> None:
        """Called after the fork; returns when the worker ends."""
        wsgi.Response = OneWriteResponse  # `wsgi.create` takes a class, but is not given one
        util.write_error = write_problem
        super().init_process()

    def handle_request(self, listener_name: Any, req: Any, sock: Any, addr: Any) -> None:
        """Serve one request, then let others run: a client that always has its next request ready
        would starve them, as reading what is there already does not switch greenlets.

        Raises:
            InvalidHeader: HTTP/1.1 wants one valid `Host` (RFC 9112, 3.2); gunicorn only refuses
                a second one.
        """
        host = next((value for name, value in req.headers if name == "HOST"), None)
        if not (_HOST.fullmatch(host) if host else req.version < (1, 1)):
            raise InvalidHeader("HOST", req=req)
        if self.counts is None:
            super().handle_request(listener_name, req, sock, addr)
        else:
            self.counts.begin()
            try:
                super().handle_request(listener_name, req, sock, addr)
            finally:
                self.counts.end()
        gevent.sleep(0)


class OneWriteResponse(wsgi.Response):  # type: ignore[misc]
    """Sends a short answer and its headers in one piece: one system call, one packet."""

    headers_sent: bool

    def write(self, arg: bytes) -> None:
        """Send a part of the body."""
        whole = len(arg) == self.response_length and len(arg) <= _SHORT_BYTES
        if self.headers_sent or self._omits_body or self.upgrade or not whole:
            super().write(arg)
            return
        major, minor = self.req.version
        lines = [
            f"HTTP/{major}.{minor} {self.status}",
            f"Server: {self.version}",
            f"Date: {_http_date(int(time.time()))}",
            f"Connection: {'close' if self.should_close() else 'keep-alive'}",
            *[f"{name}: {value}" for name, value in self.headers],
            "\r\n",
        ]
        self.headers_sent, self.sent = True, len(arg)
        message = "\r\n".join(lines).encode("latin-1") + arg
        sent_bytes = self.sock.send(message)
        if sent_bytes < len(message):
            self.sock.sendall(message[sent_bytes:])


def write_problem(sock: Any, status: int, reason: str, detail: str) -> None:
    """Refuse what is not even HTTP in the shape of all problems, instead of gunicorn's page."""
    reply = problems.of_status("", status, detail[:_DETAIL_CHARACTERS] or reason)
    headers = [*reply.all_headers, *security_headers({}), ("Connection", "close")]
    lines = [f"HTTP/1.1 {status} {reason}", *[f"{name}: {value}" for name, value in headers]]
    util.write_nonblock(sock, "\r\n".join([*lines, "\r\n"]).encode("latin-1") + reply.body)


@functools.lru_cache(maxsize=1)
def _http_date(at: int) -> str:
    return formatdate(at, usegmt=True)


class AccessLogger(Logger):  # type: ignore[misc]
    """Gathers only what `telemetry.access_log` logs. gunicorn's own gathers all headers and all
    variables of each request. Here requests are counted, too, whoever answered them.
    """

    counts: RequestCounts | None = None

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: timedelta) -> None:
        """Log an answered request."""
        try:
            self._access(resp, environ, request_time)
        except Exception:  # noqa: BLE001 - an answer that was sent is not taken back for it
            self.exception("a request could not be logged")

    def _access(self, resp: Any, environ: dict[str, Any], request_time: timedelta) -> None:
        status = resp.status.partition(" ")[0]
        if self.counts is not None:
            self.counts.answered(environ, status, request_time.total_seconds())
        request_ids = [value for name, value in resp.headers if name == "X-Request-ID"]
        atoms = {
            "h": environ.get("REMOTE_ADDR", "-"),
            "m": environ["REQUEST_METHOD"],
            "s": status,
            "B": resp.sent,
            "D": request_time // timedelta(microseconds=1),
            "{raw_uri}e": environ["RAW_URI"],
            "{x-request-id}o": request_ids[0] if request_ids else "-",
        }
        # Not `info`, which looks for the caller's file and line at some cost.
        record = logging.LogRecord(self.access_log.name, logging.INFO, "", 0, "", (atoms,), None)
        self.access_log.handle(record)
