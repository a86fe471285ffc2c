"""One exchange with the service: JSON over kept-alive connections, retried under one deadline,
failures typed.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

import backoff
import requests
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError

from jobresults.client.exceptions import ClientError, InvalidRequest, ServiceUnavailable, failure_of
from jobresults.client.retry import pauses, retry_after_seconds

logger = logging.getLogger(__name__)

_CONNECT_SECONDS = 5.0
# Beyond what the service was asked to wait. Less than a deadline, so that a dead connection leaves
# time to retry.
_ANSWER_SECONDS = 10.0
_LEAST_SECONDS = 1.0
_CHUNK_BYTES = 65_536

Query: TypeAlias = Mapping[str, Any]


class Answer(NamedTuple):
    """A 2xx answer: its decoded JSON, what Retry-After asks, and how long the service took."""

    status: int
    body: Any
    retry_after_seconds: float | None
    elapsed_seconds: float


@dataclass(frozen=True)
class _Exchange:
    """A request, the same in every attempt, and the `time.monotonic()` after which none starts."""

    method: str
    path: str
    deadline: float
    query: Query = field(default_factory=dict)
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    wait_seconds: int = 0

    def timeouts(self) -> tuple[float, float]:
        """Seconds to connect and between two packets; the latter always exceeds the wait that was
        asked for.
        """
        left = max(self.deadline - time.monotonic(), _LEAST_SECONDS)
        answer = min(
            self.wait_seconds + _ANSWER_SECONDS, max(left, self.wait_seconds + _LEAST_SECONDS)
        )
        return min(_CONNECT_SECONDS, left), answer


class _Bearer(AuthBase):
    """Sets the token. As `auth`, because without one requests overwrites the header from
    ~/.netrc.
    """

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Transport:
    """Sends requests; safe to share between threads, as each has its own Session unless one was
    given.
    """

    def __init__(
        self,
        base_url: str,
        token: str | None,
        timeout_seconds: float,
        session: requests.Session | None,
    ) -> None:
        self._base_url = base_url
        self._auth = _Bearer(token)
        self._timeout_seconds = timeout_seconds
        self._given = session
        self._local = threading.local()

    def get(
        self,
        path: str,
        query: Query | None = None,
        *,
        wait_seconds: int = 0,
        deadline: float | None = None,
    ) -> Answer:
        """GET, answered within `wait_seconds` as far as the service is concerned.

        Raises:
            ClientError: as the tree says.
        """
        return self._send(
            _Exchange(
                "GET",
                path,
                self._deadline(deadline, wait_seconds),
                query=query or {},
                wait_seconds=wait_seconds,
            )
        )

    def post(
        self,
        path: str,
        content: bytes | None = None,
        *,
        idempotency_key: str | None = None,
        wait_seconds: int = 0,
    ) -> Answer:
        """POST under an Idempotency-Key, made here if none is given, so that a retry cannot do it
        twice.

        Raises:
            ClientError: as the tree says.
        """
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        if content is not None:
            headers["Content-Type"] = "application/json"
        if wait_seconds:
            headers["Prefer"] = f"wait={wait_seconds}"
        return self._send(
            _Exchange(
                "POST",
                path,
                self._deadline(None, wait_seconds),
                content=content,
                headers=headers,
                wait_seconds=wait_seconds,
            )
        )

    def close(self) -> None:
        """Close this thread's connections. Those of other threads close when the threads end."""
        if hasattr(self._local, "session"):
            self._local.session.close()

    def _deadline(self, given: float | None, wait_seconds: int) -> float:
        return time.monotonic() + self._timeout_seconds + wait_seconds if given is None else given

    def _send(self, exchange: _Exchange) -> Answer:
        retrying = backoff.on_exception(
            pauses,
            ClientError,
            deadline=exchange.deadline,
            giveup=lambda failure: not failure.retryable,
            jitter=None,
            logger=None,
            on_backoff=_log_pause,
        )
        return retrying(self._attempt)(exchange)

    def _attempt(self, exchange: _Exchange) -> Answer:
        where = f"{exchange.method} {self._base_url}{exchange.path}"
        try:
            with self._session().request(
                exchange.method,
                self._base_url + exchange.path,
                params=exchange.query,
                data=exchange.content,
                headers={
                    "User-Agent": "jobresults-client",
                    "Accept": "application/json",
                    **exchange.headers,
                },
                auth=self._auth,
                timeout=exchange.timeouts(),
                allow_redirects=False,
                stream=True,
            ) as response:
                content = _read(response, exchange.deadline)
        except requests.exceptions.SSLError as error:
            raise ClientError(f"{where}: no secure connection: {error}") from error
        except (requests.ConnectionError, requests.Timeout, HTTPError) as error:
            raise ServiceUnavailable(f"{where}: no answer: {error}") from error
        except requests.RequestException as error:
            raise ClientError(f"{where}: cannot be sent: {error}") from error
        return _answer(where, response, content)

    def _session(self) -> requests.Session:
        if self._given is not None:
            return self._given
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
        session: requests.Session = self._local.session
        return session


def encode(value: object) -> bytes:
    """The value as JSON.

    Raises:
        InvalidRequest: it has none (RFC 8259 knows neither NaN nor infinities).
    """
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"not JSON: {error}") from error


def _read(response: requests.Response, deadline: float) -> bytes:
    """The body; piecewise, as a read timeout alone never ends an answer that trickles."""
    chunks = []
    while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True):
        chunks.append(chunk)
        if time.monotonic() > deadline + _LEAST_SECONDS:
            raise requests.Timeout("the answer did not end before the deadline")
    return b"".join(chunks)


def _answer(where: str, response: requests.Response, content: bytes) -> Answer:
    asked = retry_after_seconds(response.headers)
    try:
        body = json.loads(content)
    except ValueError as error:
        if response.ok and not response.is_redirect:
            raise ClientError(f"{where}: the answer is not JSON; is the base URL right?") from error
        body = None
    if response.is_redirect:
        raise ClientError(
            f"{where}: redirected to {response.headers['Location']}; make that the base URL"
        )
    if not 200 <= response.status_code < 300:
        raise failure_of(response.status_code, body, asked)
    return Answer(response.status_code, body, asked, response.elapsed.total_seconds())


def _log_pause(details: Any) -> None:
    logger.info("%s; trying again in %.1f s", details["exception"], details["wait"])
