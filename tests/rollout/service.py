"""A Service of Kubernetes: one address in front of those pods that are ready."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Coroutine
from typing import Any

HOST = "127.0.0.1"
_READ_BYTES = 65_536


class Service:
    """Leads each new connection to the next of its endpoints. It learns `lag_seconds` late which
    ones there are, as every node of a cluster does. A connection that is open stays where it is,
    and one that is refused is refused.
    """

    def __init__(self, port: int, lag_seconds: float) -> None:
        self.port, self.url = port, f"http://{HOST}:{port}"
        self._lag_seconds = lag_seconds
        self._endpoints: list[int] = []
        self._turns = itertools.count()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._serve, HOST, port))

    def add(self, port: int) -> None:
        """A pod has become ready."""
        self._loop.call_soon_threadsafe(
            self._loop.call_later, self._lag_seconds, self._endpoints.append, port
        )

    def remove(self, port: int) -> None:
        """A pod is to end, or not ready any more."""
        self._loop.call_soon_threadsafe(
            self._loop.call_later, self._lag_seconds, self._endpoints.remove, port
        )

    def has(self, port: int) -> bool:
        """Whether it leads there."""
        return port in self._endpoints

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        endpoints = self._endpoints
        if not endpoints:
            writer.transport.abort()
            return
        port = endpoints[next(self._turns) % len(endpoints)]
        try:
            theirs, ours = await asyncio.open_connection(HOST, port)
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(_pass_on(reader, ours), _pass_on(theirs, writer))
        for each in (writer, ours):
            each.close()


async def _pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """All there is, then the end of it."""
    try:
        while data := await source.read(_READ_BYTES):
            sink.write(data)
            await sink.drain()
        if sink.can_write_eof():
            sink.write_eof()
    except OSError:
        sink.transport.abort()
