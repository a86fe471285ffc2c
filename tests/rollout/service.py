"""A Service of Kubernetes: one address in front of those pods that are ready."""

from __future__ import annotations

import itertools
import selectors
import socket
import threading
from contextlib import suppress

HOST = "127.0.0.1"
_READ_BYTES = 65_536
_CONNECT_SECONDS = 5
_BACKLOG = 256


class Service:
    """Leads each new connection to the next of its endpoints. It learns at once of a pod that comes
    and `lag_seconds` late of one that goes: nodes learn when they learn, and these are the worse
    cases. A connection that is open stays where it is, and one that is refused is refused.
    """

    def __init__(self, port: int, lag_seconds: float) -> None:
        self.port, self.url = port, f"http://{HOST}:{port}"
        self._lag_seconds = lag_seconds
        self._endpoints: list[int] = []
        self._turns = itertools.count()
        self._listener = socket.create_server((HOST, port), backlog=_BACKLOG)
        threading.Thread(target=self._accept, daemon=True).start()

    def add(self, port: int) -> None:
        """A pod has become ready."""
        self._endpoints.append(port)

    def remove(self, port: int) -> None:
        """A pod is to end."""
        timer = threading.Timer(self._lag_seconds, self._endpoints.remove, [port])
        timer.daemon = True
        timer.start()

    def close(self) -> None:
        """Lead nobody any more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._lead, args=(caller,), daemon=True).start()

    def _lead(self, caller: socket.socket) -> None:
        with caller:
            endpoints = list(self._endpoints)
            if not endpoints:
                return
            address = (HOST, endpoints[next(self._turns) % len(endpoints)])
            with suppress(OSError), socket.create_connection(address, _CONNECT_SECONDS) as pod:
                pod.settimeout(None)
                _carry(caller, pod)


def _carry(caller: socket.socket, pod: socket.socket) -> None:
    """What each says to the other, until both have said all. Raises OSError: one has hung up."""
    with selectors.DefaultSelector() as selector:
        selector.register(caller, selectors.EVENT_READ, pod)
        selector.register(pod, selectors.EVENT_READ, caller)
        while selector.get_map():
            for key, _ in selector.select():
                source, sink = key.fileobj, key.data
                assert isinstance(source, socket.socket)
                data = source.recv(_READ_BYTES)
                if data:
                    sink.sendall(data)
                else:
                    selector.unregister(source)
                    sink.shutdown(socket.SHUT_WR)
