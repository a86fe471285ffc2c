"""Telling an outage of Redis or of the ledger once, and its end, however many threads meet it and
however often.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from jobresults.errors import LedgerUnavailable, RedisUnavailable, Unavailable

logger = logging.getLogger(__name__)

_NAMES: Mapping[type[Unavailable], str] = {
    LedgerUnavailable: "the ledger",
    RedisUnavailable: "Redis",
}


class Outages:
    """Those of one process. A probe raises Unavailable as long as what it asks is away."""

    def __init__(self, probes: Mapping[type[Unavailable], Callable[[], object]]) -> None:
        self._probes = probes
        self._since: dict[type[Unavailable], float] = {}

    def note(self, error: Unavailable) -> None:
        """Called whenever something could not be done for it, from any thread."""
        kind, now = type(error), time.monotonic()
        if kind not in self._probes:
            logger.warning("%s", error)
        elif kind not in self._since and self._since.setdefault(kind, now) == now:
            logger.warning("%s does not answer, and what needs it waits: %s", _NAMES[kind], error)

    def look(self) -> None:
        """Ask whether they are back. One thread at a time."""
        for kind, since in list(self._since.items()):
            with suppress(Unavailable):
                self._probes[kind]()
                del self._since[kind]
                logger.info("%s answers again after %.1f s", _NAMES[kind], time.monotonic() - since)
