"""The pulse of a process that works in a loop, for those who ask whether it lives and works."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobresults.settings import DatabaseSettings

# An outage must not look like death. So often a turn of a loop may wait for the ledger as long as
# statements may take; one that takes longer ends what it is a part of.
_LEDGER_WAITS = 6
_REDIS_SECONDS = 20.0


Found = tuple[bool, dict[str, object]]
"""Whether all is well, and what there is to say of it."""


class Pulse:
    """Of one loop. Asked from other threads."""

    def __init__(self, limit_seconds: float) -> None:
        self._limit_seconds = limit_seconds
        self._beat_at = time.monotonic()
        self.waits_for: str | None = "it starts"
        """Why it does not work yet; None once it does."""

    def beat(self) -> None:
        """To be called at each turn, and within one that takes long."""
        self._beat_at = time.monotonic()

    def live(self) -> Found:
        """Whether it has beaten within its limit."""
        silent_seconds = time.monotonic() - self._beat_at
        is_alive = silent_seconds < self._limit_seconds
        found = {"silent_seconds": round(silent_seconds, 3), "limit_seconds": self._limit_seconds}
        return is_alive, {"alive": is_alive, **found}

    def ready(self) -> Found:
        """Whether it works, too."""
        is_alive, _ = self.live()
        is_ready = is_alive and self.waits_for is None
        return is_ready, {"ready": is_ready, "waits_for": self.waits_for}


def longest_turn_seconds(database: DatabaseSettings) -> float:
    """Within it a loop has turned, however slow Redis and the ledger are: each call has its
    timeout.
    """
    return _REDIS_SECONDS + _LEDGER_WAITS * database.statement_timeout_seconds
