"""Reading request bodies strictly: what two JSON readers could understand differently is
refused.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple, TypeVar

import gevent
import jiter
from flask import current_app, request
from gunicorn.http.errors import ParseException
from pydantic import BaseModel, TypeAdapter, ValidationError

from jobresults.errors import (
    BodyTooSlow,
    InvalidRequest,
    PayloadTooLarge,
    UnsupportedMediaType,
)
from jobresults.web.bodies import CustomerName
from jobresults.web.services import services

Model = TypeVar("Model", bound=BaseModel)

_customer_name: TypeAdapter[str] = TypeAdapter(CustomerName)
_JSON_TYPE = re.compile(r"application/(json|[\w.-]+\+json)")
_ESCAPED_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode

_TOO_LARGE = "the body is larger than this service accepts; send less at once"


class JsonBody(NamedTuple):
    """A JSON document, and the text that all documents with its meaning have."""

    document: Any
    canonical: str


class EmptyPayload(InvalidRequest):
    """The body is empty."""

    code = "payload_empty"
    title = "Payload empty"


def read_json() -> JsonBody:
    """The request's JSON document.

    Raises:
        EmptyPayload: no body.
        UnsupportedMediaType: another type, or an encoded (compressed) body.
        PayloadTooLarge: over `web.max_body_bytes`.
        BodyTooSlow: not here within `web.body_timeout_seconds`.
        InvalidRequest: not JSON, duplicate keys, NaN or infinity, lone surrogates, NUL, or nested
            over 200 deep.
    """
    if _is_encoded():
        raise UnsupportedMediaType("encoded bodies are not accepted; send the JSON as it is")
    body = _body()
    if not body.strip():
        raise EmptyPayload("Payload Empty")
    if not _JSON_TYPE.fullmatch(request.mimetype):
        raise UnsupportedMediaType("send JSON, with Content-Type: application/json")
    try:
        document = jiter.from_json(body, allow_inf_nan=False, catch_duplicate_keys=True)
    except ValueError as error:
        raise InvalidRequest(f"the body is not valid JSON: {error}") from error
    text = canonical(document)
    if "\\u0000" in text and _ESCAPED_NUL.search(text):
        raise InvalidRequest("the body has a NUL character (\\u0000) in a string; remove it")
    return JsonBody(document, text)


def _body() -> bytes:
    # From the server itself, which knows where a body ends: werkzeug's stream around it costs more
    # than reading the JSON does.
    limit, length = current_app.config["MAX_CONTENT_LENGTH"], request.content_length
    if length is not None and length > limit:
        raise PayloadTooLarge(_TOO_LARGE)
    body = _read(limit + 1 if length is None else length)
    if len(body) > limit:
        raise PayloadTooLarge(_TOO_LARGE)
    if len(body) < (length or 0):
        raise InvalidRequest("the body was cut off on its way")
    return body


def _read(size_bytes: int) -> bytes:
    """So much of the body, or all there is. Who sends a byte now and then holds nothing up."""
    seconds = services().settings.web.body_timeout_seconds
    try:
        with gevent.Timeout(seconds):
            body: bytes = request.environ["wsgi.input"].read(size_bytes)
    except gevent.Timeout as error:
        raise BodyTooSlow(f"the body did not come whole within {seconds:g} s; send it") from error
    except ParseException as error:
        raise InvalidRequest(f"the body's chunks are malformed: {error}") from error
    except OSError as error:
        raise InvalidRequest("the body was cut off on its way") from error
    return body


def _is_encoded() -> bool:
    """By the request's own word, or by a transfer coding, which servers pass on undone."""
    content = request.headers.get("Content-Encoding", "identity").lower()
    transfer = request.headers.get("Transfer-Encoding", "chunked").lower()
    return (content, transfer) != ("identity", "chunked")


def canonical(document: Any) -> str:
    """JSON text that is the same for documents that mean the same.

    Raises:
        InvalidRequest: a number beyond all floats (1e999).
    """
    try:
        return _encode(document)
    except ValueError as error:
        raise InvalidRequest(
            "the body has a number too large for JSON readers (like 1e999)"
        ) from error


def customer_name(text: str) -> str:
    """The text, if a customer can be called so.

    Raises:
        InvalidRequest
    """
    try:
        return _customer_name.validate_python(text)
    except ValidationError as error:
        raise InvalidRequest("the customer's name must be 1 to 200 printable characters") from error


def parse(model: type[Model], document: Any) -> Model:
    """The document as a model.

    Raises:
        InvalidRequest: lists every problem with its path.
    """
    try:
        return model.model_validate(document)
    except ValidationError as error:
        problems = [
            {"path": ".".join(str(part) for part in item["loc"]), "message": item["msg"]}
            for item in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        first = problems[0]
        where = f"{first['path']}: " if first["path"] else ""
        raise InvalidRequest(f"{where}{first['message']}", problems) from error
