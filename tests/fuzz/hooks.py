"""What schemas cannot say: times within bounds, URLs that may be called, and parameters that
exclude each other.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, HookContext

# Messages of devices may be of 2000 to 2099, jobs at most a year ahead: whatever lies in the past.
_OFFSETS = st.integers(-12 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
_TIMES = st.datetimes(
    datetime(2001, 1, 1), datetime(2025, 1, 1), timezones=st.one_of(st.just(UTC), _OFFSETS)
).map(lambda time: time.isoformat())

schemathesis.openapi.format("date-time", _TIMES)
# Only where callbacks may go: not to this machine, and nobody is there.
_PATHS = st.from_regex(r"[a-z0-9]{0,20}", fullmatch=True)
schemathesis.openapi.format("uri", _PATHS.map(lambda path: f"https://hooks.invalid/{path}"))


@schemathesis.hook
def before_call(context: HookContext, case: Case, kwargs: dict[str, object]) -> None:
    """`wait` is for one job, not for an array of them."""
    if isinstance(case.body, list) and case.query:
        case.query.pop("wait", None)
