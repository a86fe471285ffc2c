"""At the end: every accepted job is known, and told of as it was before."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from jobresults.client import ServiceUnavailable
from jobresults.populate.accepted import LOST, OPEN, Accepted
from jobresults.populate.asking import Asking, GaveUp
from jobresults.populate.caller import Reply, Request
from jobresults.populate.findings import Findings, Kind

_PAGE = 100
_PAUSE_SECONDS = 0.5
_LOOK_SECONDS = 0.1


class _Ended(Exception):
    """Somebody does not want to wait for the rest."""


@dataclass
class Audit:
    """What it has found: how many were asked for, and which have not ended."""

    asked: int = 0
    unfinished: list[str] = field(default_factory=list)
    is_complete: bool = False


def audit(
    result: Audit,
    asking: Asking,
    accepted: Accepted,
    findings: Findings,
    deadline: float,
    is_to_end: Callable[[], bool],
) -> None:
    """Ask for all of them, and for those that have not ended until then.

    Raises:
        ServiceUnavailable
    """
    try:
        _Auditor(result, asking, findings, is_to_end).look(accepted, deadline)
    except _Ended:
        return
    result.is_complete = True


@dataclass(frozen=True)
class _Auditor:
    result: Audit
    asking: Asking
    findings: Findings
    is_to_end: Callable[[], bool]

    def look(self, accepted: Accepted, deadline: float) -> None:
        for job_id in accepted.given_twice():
            self.findings.add(Kind.REPEATED, job_id, "is the id of two submissions")
        for page in accepted.pages(_PAGE):
            seen = {job_id: state for job_id, state in page.items() if state != LOST}
            self.result.asked += len(page)
            self.result.unfinished += self._unfinished(seen)
        while self.result.unfinished and time.monotonic() < deadline:
            self._sleep_until(time.monotonic() + _PAUSE_SECONDS)
            self.result.unfinished = [
                job_id
                for start in range(0, len(self.result.unfinished), _PAGE)
                for job_id in self._unfinished(
                    dict.fromkeys(self.result.unfinished[start : start + _PAGE], OPEN)
                )
            ]

    def _unfinished(self, seen: dict[str, str]) -> list[str]:
        """Those that have not ended."""
        if not seen:
            return []
        states = self._states(list(seen))
        unfinished = []
        for job_id, before in seen.items():
            now = states.get(job_id)
            if now is None:
                told = f"was accepted, {before} when last seen, is unknown"
                self.findings.add(Kind.LOST, job_id, told)
            elif now in ("queued", "running"):
                unfinished.append(job_id)
            if now is not None and before not in (OPEN, "expired", now):
                self.findings.add(Kind.CHANGED, job_id, f"is {now} after it has {before}")
        return unfinished

    def _states(self, job_ids: list[str]) -> dict[str, str]:
        if self.is_to_end():
            raise _Ended
        request = Request("GET", "/v1/jobs", {"id": job_ids})
        steps = self.asking.ask("audit", request, time.monotonic())
        try:
            while True:
                self._sleep_until(next(steps))
        except StopIteration as end:
            reply: Reply = end.value
        except GaveUp as reason:
            raise ServiceUnavailable(str(reason)) from reason
        return {job["job_id"]: job["state"] for job in reply.only(200).get("jobs", [])}

    def _sleep_until(self, moment: float) -> None:
        while (left := moment - time.monotonic()) > 0:
            if self.is_to_end():
                raise _Ended
            time.sleep(min(left, _LOOK_SECONDS))
