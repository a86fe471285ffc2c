"""Reading an answer of the service: what it holds, or which failure it is."""

from __future__ import annotations

import json
import time
from typing import Any, NamedTuple

import requests

from jobresults.client.exceptions import ClientError, failure_of
from jobresults.client.retry import retry_after_seconds

_CHUNK_BYTES = 65_536
_HELD = 0.9  # two clocks measure the wait
# A service may wait less than it was asked to. Who waited so long did wait.
_HELD_SECONDS = 5.0


class Answer(NamedTuple):
    """A 2xx answer: its decoded JSON, what Retry-After asks, and whether the service held it back
    as it was asked to: such a wait was the pause before the next request.
    """

    status: int
    body: Any
    retry_after_seconds: float | None
    held: bool


def content_of(response: requests.Response, deadline: float) -> bytes:
    """The body of a streamed response, ended before the `time.monotonic()` given.

    Piecewise: on the connections of a Session that is not ours a read timeout alone would never end
    an answer that trickles.

    Raises:
        requests.Timeout, urllib3.exceptions.HTTPError
    """
    pieces = []
    while piece := response.raw.read1(_CHUNK_BYTES, decode_content=True):
        pieces.append(piece)
        if time.monotonic() > deadline:
            raise requests.Timeout("timed out")
    return b"".join(pieces)


def read_answer(response: requests.Response, content: bytes, wait_seconds: float) -> Answer:
    """The answer to a request that asked the service to wait, if it is one.

    Raises:
        ClientError: of the kind that belongs to the status.
    """
    asked = retry_after_seconds(response.headers)
    if response.is_redirect:
        raise ClientError(f"redirected to {response.headers['Location']}; make that the base URL")
    try:
        document = json.loads(content)
    except ValueError as error:
        if response.status_code < 300:
            raise ClientError("the answer is not JSON; is the base URL right?") from error
        document = None
    if response.status_code >= 300:
        raise failure_of(response.status_code, document, asked)
    held = response.elapsed.total_seconds() >= min(_HELD * wait_seconds, _HELD_SECONDS)
    return Answer(response.status_code, document, asked, held)
