"""The parameters and headers that routes name, as OpenAPI describes them."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from jobresults.web.bodies import CustomerName
from jobresults.web.pages.runbooks import page_names
from jobresults.web.reference_page import ASSETS

_JOB_ID = {
    "type": "string",
    "format": "uuid",
    "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
    "examples": ["019a0000-0000-7000-8000-000000000000"],
}
_CUSTOMER = TypeAdapter(CustomerName).json_schema()
PATH: dict[str, dict[str, Any]] = {
    "job_id": _JOB_ID,
    "customer": _CUSTOMER,
    "asset": {"type": "string", "enum": sorted(ASSETS)},
    "page": {"type": "string", "enum": page_names()},
}
PARAMETERS: dict[str, dict[str, Any]] = {
    "job_id": {"in": "query", "required": True, "schema": _JOB_ID},
    "cust_id": {"in": "query", "required": True, "schema": _CUSTOMER},
    "wait": {
        "in": "query",
        "schema": {"type": "number", "minimum": 0, "examples": [10]},
        "description": "Wait up to so many seconds for the job to end, the cap at most",
    },
    "Prefer": {
        "in": "header",
        "schema": {"type": "string", "examples": ["wait=10"]},
        "description": "`wait=N` (RFC 7240): as `wait`",
    },
    "If-None-Match": {"in": "header", "schema": {"type": "string", "examples": ['"5feceb66"']}},
    "Last-Event-ID": {
        "in": "header",
        "schema": {"type": "string", "examples": ["17"]},
        "description": "For `text/event-stream`: the `id` of the last event that arrived",
    },
    "Idempotency-Key": {
        "in": "header",
        "schema": {"type": "string", "pattern": "^[!-~]{1,255}$", "examples": ["order-7"]},
        "description": "The same key and request within 24 h give the same job",
    },
    "traceparent": {
        "in": "header",
        "schema": {
            "type": "string",
            "examples": ["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
        },
        "description": "W3C Trace Context: the job goes on in this trace",
    },
    "tracestate": {
        "in": "header",
        "schema": {"type": "string", "examples": ["vendor=00f067aa0ba902b7"]},
        "description": "W3C Trace Context; passed on, up to 512 characters",
    },
}
HEADERS: dict[str, tuple[str, dict[str, Any]]] = {
    "X-Request-ID": ("The caller's own, or a new one", {"type": "string"}),
    "traceparent": (
        "W3C Trace Context: this request in the caller's trace, or in a new one",
        {"type": "string", "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"},
    ),
    "Location": ("Where the job is", {"type": "string", "format": "uri-reference"}),
    "Retry-After": (
        "When asking again is worth it, in seconds",
        {"type": "integer", "minimum": 1, "maximum": 30},
    ),
    "ETag": ("SHA-256 of the body", {"type": "string"}),
    "WWW-Authenticate": ("How to present a key", {"type": "string"}),
}
