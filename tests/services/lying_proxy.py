"""A proxy in front of the service that passes everything on, and lies where a test wants it to."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import requests

from tests.services.scripted_http import Answer, Request, ScriptedServer

_PASSED_ON = ("Authorization", "Content-Type", "Idempotency-Key", "Prefer", "If-None-Match")
_OF_THE_PROXY = frozenset({"content-length", "connection", "server", "date", "transfer-encoding"})

# What becomes of an answer to a request.
Lie = Callable[["LyingProxy", Request, Answer], Answer]


class LyingProxy(ScriptedServer):
    """`lie` sees every answer of the service at `url`; `memory` is what it wants to remember."""

    def __init__(self, url: str, lie: Lie) -> None:
        self._url = url
        self._lie = lie
        self.memory: dict[str, Any] = {}
        self.lock = threading.Lock()
        super().__init__()

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    def answer(self, request: Request) -> Answer:
        """Asked of the service; the lies are told one after the other."""
        headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
        response = requests.request(
            request.method,
            self._url + request.path,
            data=request.body or None,
            headers=headers,
            timeout=60,
            allow_redirects=False,
        )
        kept = {
            name: text
            for name, text in response.headers.items()
            if name.lower() not in _OF_THE_PROXY
        }
        with self.lock:
            return self._lie(self, request, Answer(response.status_code, response.content, kept))

    def first(self, name: str, value: Any) -> Any:
        """What was remembered first under this name."""
        return self.memory.setdefault(name, value)

    def times(self, name: str) -> int:
        """How often it was asked for, this time included."""
        self.memory[name] = self.memory.get(name, 0) + 1
        return int(self.memory[name])


def changed(answer: Answer, **members: Any) -> Answer:
    """Its JSON object with other members."""
    return replace(answer, body=json.dumps({**json.loads(answer.body), **members}).encode())


def with_header(answer: Answer, name: str, text: str) -> Answer:
    """It with another header."""
    headers: Mapping[str, str] = {**answer.headers, name: text}
    return replace(answer, headers=headers)
