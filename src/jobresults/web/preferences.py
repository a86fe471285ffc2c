"""How long a caller wants to wait: `?wait=N` and `Prefer: wait=N` (RFC 7240)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flask import request

from jobresults.errors import InvalidRequest
from jobresults.web.services import services

_PREFER_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,6})\"?\s*(?:$|[,;])", re.IGNORECASE)


def wait_seconds() -> float:
    """What the running request wishes; see `read_wait`."""
    cap_seconds = services().settings.web.wait_cap_seconds
    return read_wait(request.args.get("wait"), preferred_wait(), cap_seconds)


def preferred_wait() -> int | None:
    """What the running request prefers; see `read_preferred_wait`."""
    return read_preferred_wait(request.environ)


def read_wait(wish: str | None, preferred: int | None, cap_seconds: float) -> float:
    """The wish in seconds, up to the cap; 0 without one. The query parameter wins over the header.

    Raises:
        InvalidRequest: `wait` is not a number from 0.
    """
    if wish is None:
        return min(preferred or 0, cap_seconds)
    try:
        seconds = float(wish)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        problem = {"path": "wait", "message": "must be a number of seconds, 0 to 60"}
        raise InvalidRequest(f"wait: {problem['message']}", [problem])
    return min(seconds, cap_seconds)


def read_preferred_wait(environ: Mapping[str, Any]) -> int | None:
    """What `Prefer: wait=N` says; a preference that cannot be read is ignored, as RFC 7240
    wants.
    """
    prefer = environ.get("HTTP_PREFER")
    found = _PREFER_WAIT.search(prefer) if prefer else None
    return int(found[1]) if found else None
