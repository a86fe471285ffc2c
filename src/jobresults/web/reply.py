"""An answer before any framework has it: Flask's views and the fast lane send the same ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from flask import Response
from werkzeug.http import HTTP_STATUS_CODES

_STATUS_LINES = {code: f"{code} {phrase.upper()}" for code, phrase in HTTP_STATUS_CODES.items()}


_NOT_STORED = ("Cache-Control", "no-store")


@dataclass(slots=True)
class Reply:
    """Status, body and headers. What does not say that it may be stored is of this moment and for
    this caller.
    """

    status: int
    body: bytes
    content_type: str | None = "application/json"
    headers: list[tuple[str, str]] = field(default_factory=lambda: [_NOT_STORED])

    def add_header(self, name: str, value: str) -> None:
        """One more header."""
        self.headers.append((name, value))

    @property
    def all_headers(self) -> list[tuple[str, str]]:
        """Those of the body included; there is none without a content type."""
        if self.content_type is None:
            return self.headers
        length = str(len(self.body))
        return [("Content-Type", self.content_type), ("Content-Length", length), *self.headers]

    def response(self) -> Response:
        """For Flask."""
        return Response(self.body, self.status, self.all_headers)

    def send(self, start_response: Any) -> Iterable[bytes]:
        """For a WSGI server."""
        start_response(_STATUS_LINES[self.status], self.all_headers)
        return (self.body,)
