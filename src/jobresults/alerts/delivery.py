"""One sink's call under a deadline that holds whatever the sink does."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from jobresults.alerts.model import Notification, Receipt, Sink, SinkError


class BoundedSink:
    """A sink whose calls end in time. One that hangs is not called again until it has returned."""

    def __init__(self, sink: Sink, deadline_seconds: float) -> None:
        self.name, self.can_edit = sink.name, sink.can_edit
        self.deadline_seconds = deadline_seconds
        self._sink = sink
        self._hanging: threading.Thread | None = None

    def send(self, notification: Notification) -> Receipt:
        """Raises SinkError."""
        return self._within_deadline(lambda: self._sink.send(notification))

    def update(self, notification: Notification, receipt: Receipt) -> Receipt:
        """Raises SinkError."""
        return self._within_deadline(lambda: self._sink.update(notification, receipt))

    def _within_deadline(self, call: Callable[[], Receipt]) -> Receipt:
        if self._hanging is not None and self._hanging.is_alive():
            raise SinkError(f"{self.name}: the last call has not returned yet")
        answers: queue.SimpleQueue[Receipt | Exception] = queue.SimpleQueue()

        def run() -> None:
            try:
                answers.put(call())
            except Exception as error:  # noqa: BLE001 - raised again by whoever waits
                answers.put(error)

        self._hanging = threading.Thread(target=run, name=f"alert-{self.name}", daemon=True)
        self._hanging.start()
        try:
            answer = answers.get(timeout=self.deadline_seconds)
        except queue.Empty:
            raise SinkError(f"{self.name}: no answer in {self.deadline_seconds:g} s") from None
        self._hanging.join(1.0)
        if isinstance(answer, SinkError):
            raise answer
        if isinstance(answer, Exception):
            # The network may mend, a defect in writing this message will not.
            reason = f"{self.name}: {type(answer).__name__}: {answer}"
            raise SinkError(reason, permanent=not isinstance(answer, OSError)) from answer
        return answer
