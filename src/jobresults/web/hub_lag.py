"""How busy a web worker's event loop is: one greenlet that blocks it delays all others."""

from __future__ import annotations

import threading
import time

from jobresults.telemetry.metrics import HUB_LAG

_INTERVAL_SECONDS = 0.2


def watch_hub_lag() -> None:
    """Observe it from now on, in a greenlet."""
    threading.Thread(target=_observe_for_ever, name="hub-lag", daemon=True).start()


def _observe_for_ever() -> None:
    while True:
        asked_at = time.monotonic()
        time.sleep(_INTERVAL_SECONDS)
        HUB_LAG.observe(max(0.0, time.monotonic() - asked_at - _INTERVAL_SECONDS))
