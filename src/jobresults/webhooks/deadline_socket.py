"""A connected socket all of whose calls together end at one time, and that receives only so much.

A timeout alone starts anew with each byte, so a peer that drips would hold its caller for ever.
"""

from __future__ import annotations

import io
import socket
import time
from typing import Any

_CHUNK_BYTES = 16_384


class DeadlineSocket:
    """What `http.client` needs of a socket. `deadline` is a `time.monotonic()`."""

    def __init__(self, connected: socket.socket, deadline: float, max_received_bytes: int) -> None:
        self._socket = connected
        self._deadline = deadline
        self._left_bytes = max_received_bytes

    def sendall(self, data: Any) -> None:
        """Raises TimeoutError once the deadline has passed."""
        view = memoryview(data).cast("B")
        while view:
            self._socket.settimeout(left_seconds(self._deadline))
            view = view[self._socket.send(view[:_CHUNK_BYTES]) :]

    def receive_into(self, buffer: Any) -> int:
        """How many bytes came; 0 at the end, or once all that may be received was. Raises
        TimeoutError once the deadline has passed.
        """
        view = memoryview(buffer)[: self._left_bytes]
        if not view:
            return 0
        self._socket.settimeout(left_seconds(self._deadline))
        count = self._socket.recv_into(view)
        self._left_bytes -= count
        return count

    def makefile(self, *_arguments: Any, **_options: Any) -> io.BufferedReader:
        """What has been received, as a file."""
        return io.BufferedReader(_Received(self))

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


class _Received(io.RawIOBase):
    def __init__(self, source: DeadlineSocket) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._source.receive_into(buffer)


def left_seconds(deadline: float) -> float:
    """How long until then.

    Raises:
        TimeoutError: it has passed.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the time is over")
    return left
