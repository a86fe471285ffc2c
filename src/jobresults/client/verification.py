"""Telling genuine callbacks from forged ones, by the Standard Webhooks specification
(https://www.standardwebhooks.com).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from jobresults.client.exceptions import ClientError, InvalidCallback

_PREFIX = "whsec_"
_MOST_SIGNATURES = 10


def verify_callback(
    headers: Mapping[str, str],
    body: bytes,
    secrets: str | Sequence[str],
    tolerance_seconds: float = 300,
) -> dict[str, Any]:
    """The callback that a request brings: `type`, `timestamp` and `data`.

    `body` is the raw body, as it came; `secrets` one or more of those the service has shown, of
    which one must match. A callback may come twice: its header `webhook-id` stays the same.

    Raises:
        InvalidCallback: not signed with one of the secrets, or made longer ago, or later, than
            `tolerance_seconds`.
        ClientError: a secret is none.
    """
    found = {name.lower(): text for name, text in headers.items()}
    try:
        id_, timestamp = found["webhook-id"], found["webhook-timestamp"]
        signatures = found["webhook-signature"].split(" ")[:_MOST_SIGNATURES]
    except KeyError as error:
        raise InvalidCallback(f"the request has no header {error.args[0]}") from None
    given = [text.encode("utf-8", "replace") for text in signatures]
    signed = f"{id_}.{timestamp}.".encode("utf-8", "replace") + body
    texts = [secrets] if isinstance(secrets, str) else secrets
    wanted = [b"v1," + _signature(_key(text), signed) for text in texts]
    if not any(hmac.compare_digest(one, other) for one in given for other in wanted):
        raise InvalidCallback("the signature matches none of the secrets")
    _check_age(timestamp, tolerance_seconds)
    callback: dict[str, Any] = json.loads(body)
    return callback


def _check_age(timestamp: str, tolerance_seconds: float) -> None:
    try:
        age_seconds = time.time() - int(timestamp)
    except ValueError:
        raise InvalidCallback("webhook-timestamp is not a number") from None
    if abs(age_seconds) > tolerance_seconds:
        raise InvalidCallback(
            f"it was signed {age_seconds:.0f} s ago, which is not within {tolerance_seconds:g} s"
        )


def _signature(key: bytes, signed: bytes) -> bytes:
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest())


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ClientError(f"a secret is {_PREFIX} and base64, as the service showed it") from None
