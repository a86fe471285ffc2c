"""One request and its answer as it came: status, bytes and headers, nothing retried or hidden."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import requests

from jobresults.client import ClientError, ServiceUnavailable
from jobresults.client.exceptions import failure_of
from jobresults.client.retry import retry_after_seconds

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 15.0
_CODE = re.compile("[a-z_]{1,64}")
_UNDER_WAY = "idempotency_in_flight"


@dataclass(frozen=True)
class Request:
    """What to send. With `wait_seconds` the service may hold its answer back so long."""

    method: str
    path: str
    query: Mapping[str, Any] = field(default_factory=dict)
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    wait_seconds: int = 0


@dataclass(frozen=True)
class Reply:
    """An answer."""

    status: int
    content: bytes
    headers: Mapping[str, str]

    @cached_property
    def document(self) -> Any:
        """Its JSON; None if it is none."""
        try:
            return json.loads(self.content)
        except ValueError:
            return None

    @property
    def retry_after_seconds(self) -> float | None:
        """When the service wants to be asked again."""
        return retry_after_seconds(self.headers)

    @property
    def code(self) -> str:
        """The service's name for the failure; empty if it names none that is one."""
        code = self.document.get("code") if isinstance(self.document, dict) else None
        return code if isinstance(code, str) and _CODE.fullmatch(code) else ""

    @property
    def asks_for_another_try(self) -> bool:
        """Whether the same request may be answered otherwise later."""
        if self.status == 409:
            return self.code == _UNDER_WAY
        return self.status == 429 or self.status >= 500

    def failure(self) -> ClientError:
        """It as an exception of the client."""
        return failure_of(self.status, self.document, self.retry_after_seconds)

    def only(self, *statuses: int) -> dict[str, Any]:
        """Its JSON object, if it has one of these statuses.

        Raises:
            ClientError: it has another, or there is none.
        """
        if self.status not in statuses:
            raise self.failure()
        if not isinstance(self.document, dict):
            raise ClientError(f"a {self.status} without a JSON object; is the URL right?")
        return self.document


class Caller:
    """Sends to one service; each thread has its own connection."""

    def __init__(self, base_url: str, token: str | None) -> None:
        self.base_url = base_url
        self._token = token
        self._local = threading.local()

    def send(self, request: Request) -> Reply:
        """The answer, whatever it says.

        Raises:
            ServiceUnavailable: there was none.
            ClientError: this cannot be sent.
        """
        try:
            response = self._session().request(
                request.method,
                self.base_url + request.path,
                params=request.query,
                data=request.body,
                headers=request.headers,
                auth=self._signed,
                timeout=(_CONNECT_SECONDS, request.wait_seconds + _ANSWER_SECONDS),
                allow_redirects=False,
            )
        except requests.exceptions.SSLError as error:
            raise ClientError(f"no secure connection: {error}") from error
        except (requests.ConnectionError, requests.Timeout) as error:
            raise ServiceUnavailable(f"no answer: {_reason(error)}") from error
        except requests.exceptions.ChunkedEncodingError as error:
            raise ServiceUnavailable(f"half an answer: {_reason(error)}") from error
        except (requests.RequestException, OSError) as error:
            raise ClientError(f"cannot be sent: {error}") from error
        return Reply(response.status_code, response.content, response.headers)

    def _signed(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """With the token. As `auth`, for without one requests takes credentials from ~/.netrc."""
        if self._token is not None:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            session = requests.Session()
            session.headers["User-Agent"] = "jobresults-populate"
            session.headers["Accept"] = "application/json"
            self._local.session = session
        found: requests.Session = self._local.session
        return found


def _reason(error: requests.RequestException) -> str:
    """Its last words: what went wrong, without the pools and addresses around it."""
    cause = error.args[0] if error.args else error
    return str(getattr(cause, "reason", cause)).rpartition(": ")[2]
