"""What became of callbacks, and sending one again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from jobresults.client.transport import Transport

Callback = dict[str, Any]


class Callbacks:
    """Those of one service, as `Client.callbacks`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, state: str | None = None) -> Iterator[Callback]:
        """All of them, or those in a state (pending, delivered, given_up, stopped), newest first,
        fetched page by page as they are taken.

        Raises:
            InvalidRequest: there is no such state.
        """
        return self._transport.pages("/v1/callbacks", "callbacks", {"state": state})

    def get(self, callback_id: str) -> Callback:
        """One of them, with `log`: every attempt to deliver it.

        Raises:
            JobNotFound
        """
        callback: Callback = self._transport.get(_path(callback_id)).body
        return callback

    def redeliver(self, callback_id: str) -> Callback:
        """Have it sent now, whatever became of it.

        Raises:
            JobNotFound
            Conflict: its subscription is deleted or disabled.
        """
        callback: Callback = self._transport.post(f"{_path(callback_id)}/redeliver").body
        return callback


def _path(callback_id: str) -> str:
    return f"/v1/callbacks/{quote(callback_id, safe='')}"
