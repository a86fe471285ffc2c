"""Sending one request to a URL that a stranger chose: to public addresses only, looked up once, and
over when its time is over.

No redirects, no proxies, no connection kept: what was checked is what is connected to.
"""

from __future__ import annotations

import contextlib
import http.client
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from ipaddress import ip_address

import certifi

from jobresults.errors import ConfigurationError, InvalidRequest
from jobresults.settings import CallbacksSettings
from jobresults.webhooks.deadline_socket import DeadlineSocket, left_seconds
from jobresults.webhooks.targets import Address, Target, check_url, is_allowed

MAX_RESPONSE_BYTES = 65_536
_MAX_ADDRESSES = 3

Resolve = Callable[[str, int], Sequence[str]]


class NotSent(Exception):
    """There was no answer. `str()` says why, in words that tell nothing about our network."""


@dataclass(frozen=True)
class Answer:
    """What the target said. `retry_after_seconds`: when it wants to hear of us again."""

    status: int
    retry_after_seconds: float | None = None

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


def addresses_of(host: str, port: int) -> Sequence[str]:
    """The system's answer to a name. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


class Sender:
    """Sends to targets, from any number of threads."""

    def __init__(self, settings: CallbacksSettings, resolve: Resolve = addresses_of) -> None:
        """Raises ConfigurationError: `callbacks.ca_file` cannot be used."""
        self._settings = settings
        self._resolve = resolve
        self._tls = ssl.create_default_context(cafile=certifi.where())
        if settings.ca_file is not None:
            try:
                self._tls.load_verify_locations(settings.ca_file)
            except (OSError, ssl.SSLError) as error:
                raise ConfigurationError(
                    f"callbacks.ca_file: cannot use {settings.ca_file}: {error}; name a PEM file"
                ) from error

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send, and wait for the answer; all of it takes `callbacks.timeout_seconds` at most.

        Raises:
            NotSent
        """
        deadline = time.monotonic() + self._settings.timeout_seconds
        try:
            target = check_url(url, self._settings)
            addresses = self._checked_addresses(target, deadline)
            with contextlib.closing(self._connected(target, addresses, deadline)) as connection:
                return _exchange(connection, target, body, headers)
        except InvalidRequest as error:  # the settings have changed since it was accepted
            raise NotSent(error.detail) from error
        except TimeoutError as error:
            raise NotSent(f"no answer within {self._settings.timeout_seconds:g} s") from error
        except ssl.SSLCertVerificationError as error:
            raise NotSent(f"its certificate is not valid: {error.verify_message}") from error
        except ssl.SSLError as error:
            raise NotSent(f"no TLS connection: {error.reason}") from error
        except http.client.HTTPException as error:
            raise NotSent(f"its answer is not HTTP: {type(error).__name__}") from error
        except OSError as error:
            raise NotSent(f"no connection: {error.strerror or type(error).__name__}") from error

    def _checked_addresses(self, target: Target, deadline: float) -> list[Address]:
        """All addresses of the host, each of which is allowed."""
        try:
            found = _within_deadline(lambda: self._resolve(target.host, target.port), deadline)
        except (socket.gaierror, UnicodeError) as error:
            raise NotSent(f"no address is known for {target.host}") from error
        addresses = [ip_address(text.partition("%")[0]) for text in dict.fromkeys(found)]
        if not all(is_allowed(address, self._settings) for address in addresses):
            raise NotSent(f"{target.host} leads to an address that is not public")
        return addresses[:_MAX_ADDRESSES]

    def _connected(
        self, target: Target, addresses: Sequence[Address], deadline: float
    ) -> DeadlineSocket:
        failure: OSError = OSError("no address")
        for place, address in enumerate(addresses):
            # One that is silent must leave time for the others.
            share = left_seconds(deadline) / (len(addresses) - place)
            try:
                plain = socket.create_connection((str(address), target.port), timeout=share)
            except OSError as error:
                failure = error
                continue
            plain.settimeout(left_seconds(deadline))
            return DeadlineSocket(self._secured(plain, target), deadline, MAX_RESPONSE_BYTES)
        raise failure

    def _secured(self, plain: socket.socket, target: Target) -> socket.socket:
        if target.scheme == "http":
            return plain
        try:
            return self._tls.wrap_socket(plain, server_hostname=target.host)
        except BaseException:
            plain.close()
            raise


def _exchange(
    connection: DeadlineSocket, target: Target, body: bytes, headers: Mapping[str, str]
) -> Answer:
    client = http.client.HTTPConnection(target.host, target.port)
    client.sock = connection
    client.request(
        "POST",
        target.path,
        body,
        {"Host": target.host_header, "Accept": "*/*", "Connection": "close", **headers},
    )
    response = client.getresponse()
    with contextlib.suppress(OSError, http.client.HTTPException):
        response.read(MAX_RESPONSE_BYTES)  # else the target sees its connection reset
    return Answer(response.status, _retry_after_seconds(response.getheader("Retry-After")))


def _retry_after_seconds(text: str | None) -> float | None:
    """Seconds, or until an HTTP date."""
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def _within_deadline(call: Callable[[], Sequence[str]], deadline: float) -> Sequence[str]:
    """What `call` returns or raises, in a thread of its own: nothing else can leave the system's
    resolver early.
    """
    answers: queue.SimpleQueue[Sequence[str] | Exception] = queue.SimpleQueue()

    def work() -> None:
        try:
            answers.put(call())
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            answers.put(error)

    threading.Thread(target=work, name="callback-resolver", daemon=True).start()
    try:
        answer = answers.get(timeout=left_seconds(deadline))
    except queue.Empty:
        raise TimeoutError("the name was not looked up in time") from None
    if isinstance(answer, Exception):
        raise answer
    return answer
