"""The logging handler of the alert routes. It counts, and nothing else."""

from __future__ import annotations

import logging
import threading
from functools import lru_cache

from jobresults.alerts import process

# What these say may come of an alert's own delivery, or of a span's.
_EXCLUDED = frozenset({"slack_sdk", "urllib3", "requests", "sentry_sdk", "redis", "opentelemetry"})
_MARK = "_is_counted_for_alerts"


class AlertHandler(logging.Handler):
    """Counts errors for the alert relay: ERROR and worse, and warnings whose `extra` has a true
    `alert`. No I/O and no lock, so it can stall nobody.

    `extra` may also hold `alert_key` (events with the same key are one problem), `alert_title`,
    `alert_frames` (a traceback that came from elsewhere), `alert_runbook` (the name of a page of
    docs/runbooks), `queue`, `http_route`,
    `sentry_event_id` and the fields of the logging context. A record that passes several of these
    handlers counts once.
    """

    _inside = threading.local()

    def createLock(self) -> None:
        """There is none to inherit through a fork, or to wait for."""
        self.lock = None

    def handle(self, record: logging.LogRecord) -> bool:
        """Count the record. Raises nothing of its own; what interrupts it (a task's timeout) gets
        through.
        """
        if getattr(self._inside, "busy", False):
            return False
        self._inside.busy = True
        try:
            if _concerns_alerts(record) and self.filter(record):
                record.__dict__[_MARK] = True
                process.alerts.count(record)
        except Exception:  # noqa: BLE001 - whatever ails an alert, the line's author must not feel it
            process.alerts.failures += 1
        finally:
            self._inside.busy = False
        return True

    def close(self) -> None:
        """Called when logging shuts down or is configured anew: hand over what was counted."""
        process.alerts.close()
        super().close()


def _concerns_alerts(record: logging.LogRecord) -> bool:
    if record.levelno < logging.ERROR and not record.__dict__.get("alert"):
        return False
    return _MARK not in record.__dict__ and not _is_excluded(record.name)


@lru_cache(maxsize=1024)
def _is_excluded(logger: str) -> bool:
    return logger.partition(".")[0] in _EXCLUDED or f"{logger}.".startswith("jobresults.alerts.")
