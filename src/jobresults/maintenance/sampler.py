"""Looking up metrics in the background, so that a scrape waits for nothing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence

from jobresults.errors import Unavailable
from jobresults.maintenance.looks import Look
from jobresults.maintenance.samples import Found, Samples

logger = logging.getLogger(__name__)

# A look that hangs leaves nothing to see after that.
_VALID_SECONDS = 15.0
_STOP_SECONDS = 1.0


class Sampler:
    """A thread of its own: duties that take long do not age what is seen."""

    def __init__(self, samples: Samples, looks: Sequence[Look], interval_seconds: float) -> None:
        self._samples = samples
        self._looks = looks
        self._interval_seconds = interval_seconds
        self._failing: set[str] = set()
        self._away: set[type[Unavailable]] = set()
        """What the looks that ask just that have found away this time; others tell of it."""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="samples", daemon=True)

    def start(self) -> None:
        """Look every `interval_seconds` from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()
        self._thread.join(_STOP_SECONDS)

    def look(self) -> None:
        """Look at everything once, whatever of it is away."""
        valid_seconds = self._interval_seconds + _VALID_SECONDS
        self._away.clear()
        for it in self._looks:
            self._samples.put(it.name, self._found_by(it), valid_seconds=valid_seconds)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self.look()
            self._stopped.wait(self._interval_seconds)

    def _found_by(self, look: Look) -> Found:
        try:
            found = look.find()
        except Unavailable as error:
            if look.otherwise:
                self._away.add(type(error))
            elif type(error) not in self._away:
                self._tell(look, logging.WARNING, error)
            return look.otherwise
        except Exception as error:  # noqa: BLE001 - one that is broken must not hide the others
            self._tell(look, logging.ERROR, error)
            return {}
        self._failing.discard(look.name)
        return found

    def _tell(self, look: Look, level: int, error: Exception) -> None:
        """Once, until it works again."""
        if look.name not in self._failing:
            self._failing.add(look.name)
            logger.log(
                level, "metrics lack %s: %s", look.name, error, exc_info=level > logging.WARNING
            )
