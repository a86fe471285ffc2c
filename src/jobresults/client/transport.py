"""One exchange with the service: over kept-alive connections, retried under one deadline."""

from __future__ import annotations

import json
import logging
import os
import ssl
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import backoff
import requests
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError

from jobresults.client.answer import Answer, content_of, read_answer
from jobresults.client.exceptions import ClientError, InvalidRequest, ServiceUnavailable
from jobresults.client.exchange import LEAST_SECONDS, Exchange
from jobresults.client.punctuality import PunctualAdapter, until
from jobresults.client.retry import pauses

logger = logging.getLogger(__name__)

# As when what is in front of the service restarts amid a handshake; all else of TLS is lasting.
_CUT_OFF = (ssl.SSLEOFError, ssl.SSLZeroReturnError)


class _Bearer(AuthBase):
    """Sets the token. As `auth`, for without one requests takes credentials from ~/.netrc."""

    def __init__(self, token: str | None) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Transport:
    """Sends requests; threads and forked processes may share it, as each has its own Session unless
    one was given.
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
        query: Mapping[str, Any] | None = None,
        *,
        wait_seconds: float = 0,
        deadline: float | None = None,
    ) -> Answer:
        """GET, with `wait` if the service is to hold its answer back so long.

        `deadline` is a `time.monotonic()`, by default as far away as the client's timeout.

        Raises:
            ClientError
        """
        if deadline is None:
            deadline = time.monotonic() + self._timeout_seconds + wait_seconds
        url = self._base_url + path
        return self._send(Exchange("GET", url, deadline, wait_seconds, query=query or {}))

    def post(
        self,
        path: str,
        content: bytes | None = None,
        *,
        idempotency_key: str | None = None,
        wait_seconds: int = 0,
    ) -> Answer:
        """POST under an Idempotency-Key, made here if none is given: a retry never does it twice.

        Raises:
            ClientError
        """
        deadline = time.monotonic() + self._timeout_seconds + wait_seconds
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        if content is not None:
            headers["Content-Type"] = "application/json"
        url = self._base_url + path
        return self._send(
            Exchange("POST", url, deadline, wait_seconds, content=content, headers=headers)
        )

    def pages(self, path: str, member: str, query: Mapping[str, Any]) -> Iterator[Any]:
        """The elements of all pages of a list, each page fetched when it is needed.

        Raises:
            ClientError
        """
        cursor: dict[str, Any] = {}
        while True:
            page = self.get(path, {**query, **cursor}).body
            yield from page[member]
            if page["next_cursor"] is None:
                return
            cursor = {"cursor": page["next_cursor"]}

    def close(self) -> None:
        """Close this thread's connections. Those of other threads close when the threads end."""
        if hasattr(self._local, "session"):
            self._local.session.close()

    def _send(self, exchange: Exchange) -> Answer:
        retrying = backoff.on_exception(
            pauses,
            ClientError,
            deadline=exchange.deadline,
            giveup=_is_final,
            jitter=None,
            logger=None,
            on_backoff=_log_pause,
        )
        return retrying(self._attempt)(exchange)

    def _attempt(self, exchange: Exchange) -> Answer:
        where = f"{exchange.method} {exchange.url}"
        wait = exchange.wait_seconds()
        end = exchange.deadline + LEAST_SECONDS
        handled = sys.exception()
        try:
            with (
                until(end),
                self._session().request(
                    **exchange.arguments(wait), auth=self._auth, allow_redirects=False, stream=True
                ) as response,
            ):
                content = content_of(response, end)
        except (requests.ConnectionError, requests.Timeout, HTTPError) as error:
            cause = _cause(error, handled)
            insecure = isinstance(error, requests.exceptions.SSLError)
            if insecure and not isinstance(cause, _CUT_OFF):
                raise ClientError(f"{where}: no secure connection: {cause}") from error
            what = "it did not end in time" if time.monotonic() >= end else cause
            raise ServiceUnavailable(f"{where}: no answer: {what}") from error
        except OSError as error:  # the root of requests' exceptions, and what it lets through
            raise ClientError(f"{where}: cannot be sent: {error}") from error
        return read_answer(response, content, wait)

    def _session(self) -> requests.Session:
        if self._given is not None:
            return self._given
        # After a fork the parent's connections are there too: two readers of one socket would get
        # each other's answers.
        if getattr(self._local, "process_id", None) != os.getpid():
            self._local.session = requests.Session()
            for scheme in ("http://", "https://"):
                self._local.session.mount(scheme, PunctualAdapter())
            self._local.process_id = os.getpid()
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


def _cause(error: BaseException, handled: BaseException | None) -> BaseException:
    """What requests and urllib3 have wrapped, each in its own words; `handled` is what the caller
    was handling before.
    """
    while (below := error.__cause__ or error.__context__) is not None and below is not handled:
        error = below
    return error


def _is_final(failure: Exception) -> bool:
    return not (isinstance(failure, ClientError) and failure.retryable)


def _log_pause(details: Any) -> None:
    logger.info("%s; trying again in %.1f s", details["exception"], details["wait"])
