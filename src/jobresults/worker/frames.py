"""Messages on a pipe: each is its length in four bytes, then so many bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO

_LENGTH = struct.Struct("!I")


def frame(*parts: bytes) -> bytes:
    """The parts as one message."""
    return b"".join((_LENGTH.pack(sum(map(len, parts))), *parts))


def read_frame(stream: BinaryIO) -> bytes | None:
    """The next message, waited for; None if the other end is closed."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    body = stream.read(length)
    return body if len(body) == length else None


class FrameBuffer:
    """Puts messages together from whatever pieces arrive."""

    def __init__(self) -> None:
        self._received = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The messages that are complete now. A torn one at the end of the stream is never told."""
        self._received += data
        start, have = 0, len(self._received)
        while have - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._received, start)
            end = start + _LENGTH.size + length
            if end > have:
                break
            yield bytes(self._received[start + _LENGTH.size : end])
            start = end
        del self._received[:start]
