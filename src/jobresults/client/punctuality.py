"""Connections on which no exchange outlasts its deadline.

A timeout alone starts anew with each byte: a peer that takes or gives them one by one, be it in the
header, would hold its caller for ever.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

_PIECE_BYTES = 16_384

_deadline: ContextVar[float] = ContextVar("deadline")


@contextmanager
def until(deadline: float) -> Iterator[None]:
    """Within the block exchanges end at that `time.monotonic()`."""
    token = _deadline.set(deadline)
    try:
        yield
    finally:
        _deadline.reset(token)


class PunctualAdapter(HTTPAdapter):
    """For a Session whose requests are all made within `until`.

    Each read and each piece sent has the request's timeout, all of them together the deadline.
    """

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        if not proxy.lower().startswith("socks"):  # those have connections of their own
            manager.pool_classes_by_scheme = _POOLS
        return manager


class _Incoming(io.RawIOBase):
    """What comes from a socket, read with the timeout it has, but never past the deadline."""

    def __init__(self, source: io.RawIOBase, connected: socket.socket) -> None:
        self._source = source
        self._socket = connected
        self._silence_seconds = connected.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._socket.settimeout(_at_most(self._silence_seconds))
        return self._source.readinto(buffer)

    def close(self) -> None:
        self._source.close()  # or the socket stays open: it counts who reads it
        super().close()


class _Response(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp = io.BufferedReader(_Incoming(self.fp.detach(), sock))


class _Connection(HTTPConnection):
    response_class = _Response

    def send(self, data: Any) -> None:
        view = memoryview(data)
        for start in range(0, len(view), _PIECE_BYTES):
            if self.sock is not None:
                self.sock.settimeout(_at_most(self.timeout))
            super().send(view[start : start + _PIECE_BYTES])


class _TlsConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_POOLS = {"http": _Pool, "https": _TlsPool}


def _at_most(seconds: float | None) -> float:
    """So many, or what is left until the deadline.

    Raises:
        TimeoutError: nothing is left.
    """
    left = _deadline.get() - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left if seconds is None else min(seconds, left)
