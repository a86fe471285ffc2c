"""Making all checks at once, each bounded in time, none the worse for what became of another."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace

from jobresults.doctor import (
    alerting,
    clocks,
    configuration,
    ledger,
    processes,
    redis,
    telemetry,
    versions,
)
from jobresults.doctor.findings import Check, Finding, Subject, error
from jobresults.telemetry.control_characters import escape
from jobresults.telemetry.redaction import hide, keep_secret

CHECKS: tuple[tuple[str, Check], ...] = (
    ("configuration", configuration.check),
    ("tasks", configuration.check_tasks),
    ("versions", versions.check),
    ("redis", redis.check),
    ("database", ledger.check),
    ("clocks", clocks.check),
    ("workers", processes.check_workers),
    ("maintenance", processes.check_maintenance),
    ("alerts", alerting.check),
    ("sentry", telemetry.check_sentry),
    ("metrics", telemetry.check_metrics),
    ("tracing", telemetry.check_tracing),
)


def examine(
    subject: Subject, seconds: float, checks: Sequence[tuple[str, Check]] = CHECKS
) -> list[Finding]:
    """All findings, in the order of the checks. No secret of the settings is in them."""
    keep_secret(subject.settings)
    running = [_Running(name, check, subject) for name, check in checks]
    until = time.monotonic() + seconds
    return cleaned(finding for item in running for finding in item.findings(until, seconds))


def cleaned(found: Iterable[Finding]) -> list[Finding]:
    """Without the secrets of the settings examined last, each on one line."""
    return [replace(it, text=_clean(it.text), remedy=_clean(it.remedy)) for it in found]


class _Running:
    """A check in a thread of its own, which nobody waits for when its time is over."""

    def __init__(self, name: str, check: Check, subject: Subject) -> None:
        self._name = name
        self._found: list[Finding] = []
        self._thread = threading.Thread(target=self._run, args=(check, subject), daemon=True)
        self._thread.start()

    def findings(self, until: float, seconds: float) -> list[Finding]:
        self._thread.join(max(0.0, until - time.monotonic()))
        found = list(self._found)
        if self._thread.is_alive():
            text = f"not done within {seconds:g} s"
            remedy = "see what the line above asks, or allow more time with --timeout"
            found.append(error(f"{self._name}.unfinished", text, remedy))
        return found

    def _run(self, check: Check, subject: Subject) -> None:
        try:
            for finding in check(subject):
                self._found.append(finding)
        except Exception as problem:  # noqa: BLE001 - the others' findings are worth having
            text = f"the check itself failed: {type(problem).__name__}: {problem}"
            self._found.append(error(f"{self._name}.failed", text, "please report this"))


def _clean(text: str) -> str:
    """Without secrets, on one line."""
    return escape(hide(" ".join(text.split())))
