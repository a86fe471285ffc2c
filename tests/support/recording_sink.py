"""A sink that keeps what it is told, and fails or hangs as the test wishes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from jobresults.alerts.model import Kind, Notification, Receipt, SinkError


@dataclass
class RecordingSink:
    """Thread-safe enough for a test that looks while a relay tells."""

    name: str = "slack"
    can_edit: bool = True
    sent: list[Notification] = field(default_factory=list)
    updated: list[tuple[Notification, Receipt]] = field(default_factory=list)
    error: SinkError | Callable[[], SinkError | None] | None = None
    hangs_until: threading.Event | None = None

    def send(self, notification: Notification) -> Receipt:
        self._fail_or_hang()
        self.sent.append(notification)
        return Receipt("C1", f"m{len(self.sent)}")

    def update(self, notification: Notification, receipt: Receipt) -> Receipt:
        self._fail_or_hang()
        self.updated.append((notification, receipt))
        return receipt

    @property
    def kinds(self) -> list[Kind]:
        """Of the new messages."""
        return [notification.kind for notification in self.sent]

    @property
    def counts(self) -> dict[str, int]:
        """What the last message of each group said, by fingerprint."""
        said: dict[str, int] = {}
        for notification in [*self.sent, *(notification for notification, _ in self.updated)]:
            for entry in notification.entries:
                group = entry.group
                said[group.fingerprint] = max(said.get(group.fingerprint, 0), group.count)
        return said

    def _fail_or_hang(self) -> None:
        if self.hangs_until is not None:
            self.hangs_until.wait(60)
        error = self.error() if callable(self.error) else self.error
        if error is not None:
            raise error
