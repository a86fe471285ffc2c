"""An answer before any framework has it: Flask's views and the fast lane send the same ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from flask import Response
from werkzeug.http import HTTP_STATUS_CODES

_STATUS_LINES = {code: f"{code} {phrase.upper()}" for code, phrase in HTTP_STATUS_CODES.items()}


@dataclass(frozen=True, slots=True)
class Reply:
    """Status, headers and body. What says nothing about storing is of this moment and for this
    caller.
    """

    status: int
    body: bytes
    content_type: str | None = "application/json"
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def all_headers(self) -> list[tuple[str, str]]:
        """Those of the body included; it has none if there is no content type."""
        own = [("Cache-Control", "no-store")] if "Cache-Control" not in self.headers else []
        of_body = []
        if self.content_type is not None:
            of_body = [
                ("Content-Type", self.content_type),
                ("Content-Length", str(len(self.body))),
            ]
        return [*of_body, *self.headers.items(), *own]

    def response(self) -> Response:
        """For Flask."""
        return Response(self.body, self.status, self.all_headers)

    def send(self, start_response: Any) -> Iterable[bytes]:
        """For a WSGI server."""
        start_response(_STATUS_LINES[self.status], self.all_headers)
        return (self.body,) if self.body else ()
