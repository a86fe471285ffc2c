"""How long a caller wants to wait: `?wait=N` and `Prefer: wait=N` (RFC 7240)."""

from __future__ import annotations

import re

from flask import request

from jobresults.errors import InvalidRequest
from jobresults.web.services import services

_PREFER_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,6})\"?\s*(?:$|[,;])", re.IGNORECASE)


def wait_seconds() -> float:
    """The wish, clamped to `web.wait_cap_seconds`; 0 without one. The query parameter wins over the
    header.

    Raises:
        InvalidRequest: `wait` is not a number from 0.
    """
    wish = request.args.get("wait")
    if wish is None:
        preferred = preferred_wait()
        return (
            0.0 if preferred is None else min(preferred, services().settings.web.wait_cap_seconds)
        )
    try:
        seconds = float(wish)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        problem = {"path": "wait", "message": "must be a number of seconds, 0 to 60"}
        raise InvalidRequest(f"wait: {problem['message']}", [problem])
    return min(seconds, services().settings.web.wait_cap_seconds)


def preferred_wait() -> int | None:
    """What `Prefer: wait=N` says; a preference that cannot be read is ignored, as RFC 7240
    wants.
    """
    found = _PREFER_WAIT.search(",".join(request.headers.getlist("Prefer")))
    return int(found[1]) if found else None
