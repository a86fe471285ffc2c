"""gunicorn's records without query strings, since people put tokens into those."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping

from jobresults.telemetry.logging_context import clean

FIELDS = ("method", "path", "status", "bytes", "duration_ms", "client_ip")
MAX_PATH_CHARACTERS = 2_000
_QUERY = re.compile(r"\?[^\s'\"]+")


class AccessFilter(logging.Filter):
    """Replaces the atoms gunicorn logs for a request, all its headers among them, by `FIELDS`."""

    def filter(self, record: logging.LogRecord) -> bool:
        atoms = record.args
        if not isinstance(atoms, Mapping):
            return True
        request_id = atoms["{x-request-id}o"]
        record.__dict__.update(
            method=atoms["m"],
            # As sent, percent-encoded: gunicorn's `U` is decoded and may hold line breaks.
            path=str(atoms["{raw_uri}e"]).partition("?")[0][:MAX_PATH_CHARACTERS],
            status=int(str(atoms["s"])),
            bytes=atoms["B"],
            duration_ms=int(str(atoms["D"])) / 1000,
            client_ip=atoms["h"],
            # The request's context may be over by now; its answer bears the id.
            request_id=None if request_id == "-" else clean(request_id),
        )
        record.msg, record.args = "{method} {path} {status}".format_map(record.__dict__), None
        return True


class QueryFilter(logging.Filter):
    """Hides query strings in gunicorn's error messages, which quote the request's target."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = _without_query(record.msg)
        if isinstance(record.args, tuple):
            record.args = tuple(map(_without_query, record.args))
        return True


def _without_query(value: object) -> object:
    return _QUERY.sub("?[hidden]", value) if isinstance(value, str) else value
