"""When a failed request may be sent again."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import backoff

from jobresults.client.exceptions import ClientError

_FIRST_CEILING_SECONDS = 0.5
_LAST_CEILING_SECONDS = 8.0


def pauses(deadline: float) -> Generator[float, Any, None]:
    """Seconds to sleep after each failure sent in, until none could be followed by another attempt.

    At least the failure's Retry-After, above it exponential full jitter. `deadline` is a
    `time.monotonic()`; backoff's own `max_time` would cut the last pause short of Retry-After.
    """
    ceilings = backoff.expo(factor=_FIRST_CEILING_SECONDS, max_value=_LAST_CEILING_SECONDS)
    next(ceilings)
    failure: ClientError = yield 0.0
    while True:
        ceiling = next(ceilings)
        floor = failure.retry_after_seconds or 0.0
        spare = deadline - time.monotonic() - floor
        if spare <= 0:
            return
        failure = yield floor + backoff.full_jitter(min(ceiling, spare))
        # Ever shorter pauses up to the deadline would hammer a service in trouble.
        if ceiling >= spare:
            return


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """Retry-After in both forms (RFC 9110, section 10.2.3); None if absent or unreadable.

    A date is read by the service's own clock, its Date header: the caller's may be off.
    """
    text = headers.get("Retry-After", "").strip()
    try:
        seconds = float(text)
    except ValueError:
        moment = _http_date(text)
        if moment is None:
            return None
        now = _http_date(headers.get("Date", "")) or datetime.now(UTC)
        seconds = (moment - now).total_seconds()
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
