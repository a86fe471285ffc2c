"""What every answer tells browsers, whatever it holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ALWAYS = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
)
# Only behind TLS: over plain HTTP browsers have to ignore it (RFC 6797, 8.1).
_BEHIND_TLS = (*_ALWAYS, ("Strict-Transport-Security", "max-age=31536000"))


def security_headers(environ: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Those of an answer to this request. A page that needs more names its own policy."""
    return _BEHIND_TLS if environ.get("wsgi.url_scheme") == "https" else _ALWAYS
