"""A Sentry ingest: takes envelopes and keeps the events in them."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import pytest
from sentry_sdk.envelope import Envelope

from tests.services.scripted_http import Answer, Request, ScriptedServer


class SentryServer(ScriptedServer):
    """`events` and `transactions`: what was sent, oldest first."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[dict[str, Any]] = []
        self.transactions: list[dict[str, Any]] = []
        self.dsn = f"http://canaryPublicKey@{self.address}/7"

    def respond(self, request: Request) -> Answer:
        assert request.path == "/api/7/envelope/", request.path
        body = request.body
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        for item in Envelope.deserialize(body).items:
            event = item.get_event()
            if event is not None:
                self.events.append(dict(event))
            traced = item.get_transaction_event()
            if traced is not None:
                self.transactions.append(dict(traced))
        return Answer(200, b"{}", {"Content-Type": "application/json"})


@pytest.fixture
def sentry_server() -> Iterator[SentryServer]:
    with SentryServer() as server:
        yield server
