"""gunicorn's records without query strings and credentials: people put tokens into both."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping

from jobresults.telemetry.logging_context import clean
from jobresults.telemetry.redaction import hide
from jobresults.telemetry.trace_context import trace_id_of

FIELDS = ("method", "path", "status", "bytes", "duration_ms", "client_ip")
MAX_PATH_CHARACTERS = 2_000
_QUERY = re.compile(r"\?[^\s'\"]+")


class AccessFilter(logging.Filter):
    """Replaces the atoms gunicorn logs for a request, all its headers among them, by `FIELDS`."""

    def filter(self, record: logging.LogRecord) -> bool:
        atoms = record.args
        if not isinstance(atoms, Mapping):
            return True
        request_id, trace = atoms["{x-request-id}o"], atoms["{traceparent}o"]
        record.__dict__.update(
            method=atoms["m"],
            # As sent, percent-encoded: gunicorn's `U` is decoded and may hold line breaks.
            path=str(atoms["{raw_uri}e"]).partition("?")[0][:MAX_PATH_CHARACTERS],
            status=int(str(atoms["s"])),
            bytes=atoms["B"],
            duration_ms=int(str(atoms["D"])) / 1000,
            client_ip=atoms["h"],
            # The request's context may be over by now; its answer bears the ids.
            request_id=None if request_id == "-" else clean(request_id),
            trace_id=None if trace == "-" else trace_id_of(str(trace)),
        )
        record.msg, record.args = "{method} {path} {status}".format_map(record.__dict__), None
        return True


class QueryFilter(logging.Filter):
    """Hides query strings and credentials in gunicorn's error messages, which quote the request's
    target and a header line that has no colon.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = _without_secrets(record.msg)
        if isinstance(record.args, tuple):
            record.args = tuple(map(_without_secrets, record.args))
        return True


def _without_secrets(value: object) -> object:
    if not isinstance(value, str):
        return value
    return hide(_QUERY.sub("?[hidden]", value))
