"""A proxy in front of the running service that spoils some of the exchanges with it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TypeAlias
from urllib.parse import urlencode

import requests

from tests.unit.client.scripted_service import Received, Reply, ScriptedService

# A reply comes instead of the service's, which hears nothing of the request; changes are made to
# the service's reply, which has done what it was asked to.
Fault: TypeAlias = Reply | dict[str, Any]

LOST: Fault = {"dropped": True}
TORN: Fault = {"torn": True}
LAST_OF_ITS_CONNECTION: Fault = {"last": True}
NONE: Fault = {}

_OF_A_CONNECTION = {
    "connection",
    "content-encoding",
    "content-length",
    "host",
    "keep-alive",
    "transfer-encoding",
}


class HttpFaultProxy(ScriptedService):
    """Forwards; faults befall the next exchanges in their order."""

    def __init__(self, upstream_url: str) -> None:
        super().__init__()
        self._upstream_url = upstream_url
        self._faults: deque[Fault] = deque()

    def faults(self, *faults: Fault) -> None:
        """What befalls the next exchanges."""
        self._faults = deque(faults)

    def next_reply(self, request: Received) -> Reply:
        with self._lock:
            self.received.append(request)
            fault = self._faults.popleft() if self._faults else NONE
        if isinstance(fault, Reply):
            return fault
        return replace(self._forwarded(request), **fault)

    def _forwarded(self, request: Received) -> Reply:
        query = urlencode(request.query, doseq=True)
        answer = requests.request(
            request.method,
            f"{self._upstream_url}{request.path}{'?' * bool(query)}{query}",
            data=request.content,
            headers=_passed_on(request.headers),
            allow_redirects=False,
            timeout=60,
        )
        return Reply(answer.status_code, content=answer.content, headers=_passed_on(answer.headers))


def _passed_on(headers: Any) -> dict[str, str]:
    return {name: text for name, text in headers.items() if name.lower() not in _OF_A_CONNECTION}


@contextmanager
def http_fault_proxy(upstream_url: str) -> Iterator[HttpFaultProxy]:
    """The proxy, until the end of the block."""
    with HttpFaultProxy(upstream_url) as proxy:
        yield proxy
