"""A TCP proxy in front of Redis or PostgreSQL that fails on request."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from tests.services.stack import reserved_port

Upstream = Path | tuple[str, int]
_CHUNK_BYTES = 65_536


@dataclass
class Loss:
    """Requests that will not arrive, or whose replies will not. `happened`: all of them."""

    pattern: bytes
    what: Literal["request", "reply"]
    left: int = 1
    happened: threading.Event = field(default_factory=threading.Event)


@dataclass(eq=False)
class _Link:
    """A client's connection and ours to the server behind it."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    silent: bool = False
    losing: Loss | None = None

    def cut(self) -> None:
        for side in (self.client, self.server):
            side.transport.abort()


class FaultProxy:
    """Forwards, until told otherwise. The methods return once their fault is in place."""

    def __init__(self, upstream: Upstream, port: int) -> None:
        self.port = port
        self._upstream = upstream
        self._links: set[_Link] = set()
        self._held: set[asyncio.StreamWriter] = set()
        self._blackholed = False
        self._armed: Loss | None = None
        self._listener: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy")
        self._thread.start()
        self.forward()

    @property
    def redis_url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def forward(self) -> None:
        """New connections work from now on. What `blackhole` has silenced stays silent."""
        self._do(self._forward())

    def refuse(self) -> None:
        """Cut all connections, and refuse new ones."""
        self._do(self._refuse())

    def blackhole(self) -> None:
        """All connections fall silent for ever, and neither end is told: half-open TCP.

        The server still holds its ends, so what it sends to them is lost. New connections are
        accepted and are as silent.
        """
        self._do(self._blackhole())

    def lose(self, what: Literal["request", "reply"], pattern: bytes, *, times: int = 1) -> Loss:
        """Cut the connection of the next requests that contain `pattern`: before each reaches the
        server, or before its reply reaches the client.
        """
        loss = Loss(pattern, what, left=times)
        self._do(self._arm(loss))
        return loss

    def close(self) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, change: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(change, self._loop).result(timeout=10)

    async def _forward(self) -> None:
        self._blackholed = False
        if self._listener is None:
            self._listener = await asyncio.start_server(
                self._serve, "127.0.0.1", self.port, reuse_address=True
            )

    async def _refuse(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for link in self._links:
            link.cut()
        for writer in self._held:
            writer.transport.abort()

    async def _blackhole(self) -> None:
        self._blackholed = True
        for link in self._links:
            link.silent = True

    async def _arm(self, loss: Loss) -> None:
        self._armed = loss

    async def _end(self) -> None:
        await self._refuse()
        serving = asyncio.all_tasks() - {asyncio.current_task()}
        if serving:  # each sees that its connections are cut
            await asyncio.wait(serving, timeout=5)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._blackholed:
            self._held.add(writer)
            with contextlib.suppress(ConnectionError):
                while await reader.read(_CHUNK_BYTES):
                    pass
            return
        try:
            from_server, to_server = await _connect(self._upstream)
        except OSError:
            writer.transport.abort()
            return
        link = _Link(writer, to_server)
        self._links.add(link)
        try:
            await asyncio.gather(
                self._pump(link, reader, to_server, is_request=True),
                self._pump(link, from_server, writer, is_request=False),
            )
        finally:
            self._links.discard(link)
            link.cut()

    async def _pump(
        self,
        link: _Link,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        *,
        is_request: bool,
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(_CHUNK_BYTES):
                if link.silent:
                    continue
                if self._is_lost(link, data, is_request=is_request):
                    break
                sink.write(data)
                await sink.drain()
        if not link.silent:
            link.cut()

    def _is_lost(self, link: _Link, data: bytes, *, is_request: bool) -> bool:
        if is_request and self._armed is not None and self._armed.pattern in data:
            link.losing = self._armed
        loss = link.losing
        if loss is None or (loss.what == "request") != is_request:
            return False
        loss.left -= 1
        if loss.left == 0:
            self._armed = None
            loss.happened.set()
        return True


async def _connect(upstream: Upstream) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if isinstance(upstream, Path):
        return await asyncio.open_unix_connection(upstream)
    return await asyncio.open_connection(*upstream)


@contextmanager
def fault_proxy(upstream: Upstream) -> Iterator[FaultProxy]:
    """A proxy on a free port, until the end of the block. `upstream`: host and port, or the path of
    a Unix socket (PostgreSQL's: `.s.PGSQL.5432` in its directory).
    """
    with reserved_port() as port:
        proxy = FaultProxy(upstream, port)
        try:
            yield proxy
        finally:
            proxy.close()
