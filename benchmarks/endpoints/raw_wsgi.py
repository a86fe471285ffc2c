"""A WSGI callable that does nothing: what gunicorn and gevent cost by themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Do nothing."""
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", "2")])
    return (b"{}",)
