"""At the end: every accepted job is known, and told of as it was before."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TypeVar

from jobresults.client import ServiceUnavailable
from jobresults.populate.accepted import LOST, OPEN, Accepted
from jobresults.populate.asking import Asking, GaveUp, Steps
from jobresults.populate.caller import Request
from jobresults.populate.findings import Findings, Kind

_T = TypeVar("_T")
_PAGE = 100
_PAUSE_SECONDS = 0.5


@dataclass
class Audit:
    """What it has found: how many were asked for, and which have not ended."""

    asked: int = 0
    unfinished: list[str] = field(default_factory=list)
    is_complete: bool = False


def audit(
    result: Audit, asking: Asking, accepted: Accepted, findings: Findings, deadline: float
) -> None:
    """Ask for all of them, and for those that have not ended until then.

    Raises:
        ServiceUnavailable
    """
    for job_id in accepted.given_twice():
        findings.add(Kind.REPEATED, job_id, "is the id of two submissions")
    for page in accepted.pages(_PAGE):
        seen = {job_id: state for job_id, state in page.items() if state != LOST}
        result.asked += len(page)
        result.unfinished += _ask_for(seen, asking, findings)
    while result.unfinished and time.monotonic() < deadline:
        time.sleep(_PAUSE_SECONDS)
        left, result.unfinished = result.unfinished, []
        for start in range(0, len(left), _PAGE):
            seen = dict.fromkeys(left[start : start + _PAGE], OPEN)
            result.unfinished += _ask_for(seen, asking, findings)
    result.is_complete = True


def at_once(steps: Steps[_T]) -> _T:
    """What they come to, waited for.

    Raises:
        ServiceUnavailable
    """
    try:
        while True:
            time.sleep(max(0.0, next(steps) - time.monotonic()))
    except StopIteration as end:
        found: _T = end.value
        return found
    except GaveUp as reason:
        raise ServiceUnavailable(str(reason)) from reason


def _ask_for(seen: dict[str, str], asking: Asking, findings: Findings) -> list[str]:
    """Those that have not ended."""
    if not seen:
        return []
    request = Request("GET", "/v1/jobs", {"id": list(seen)})
    reply = at_once(asking.ask("audit", request, time.monotonic()))
    states = {job["job_id"]: job["state"] for job in reply.only(200).get("jobs", [])}
    unfinished = []
    for job_id, before in seen.items():
        now = states.get(job_id)
        if now is None:
            findings.add(Kind.LOST, job_id, f"was accepted, {before} when last seen, is unknown")
        elif now in ("queued", "running"):
            unfinished.append(job_id)
        if now is not None and before not in (OPEN, "expired", now):
            findings.add(Kind.CHANGED, job_id, f"is {now} after it has {before}")
    return unfinished
