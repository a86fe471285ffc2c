"""Messages as a bank would send them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from jobresults.tasks.score.messages import Message

MakeMessage = Callable[..., Message]


@pytest.fixture(scope="session")
def message() -> MakeMessage:
    def make(
        body: str, day: str = "2024-03-05", sender: str = "AX-HDFCBK", clock: str = "10:00:00"
    ) -> Message:
        received_at = datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=UTC)
        return Message(sender=sender, body=body, received_at=received_at)

    return make
