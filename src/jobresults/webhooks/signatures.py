"""Signatures by the Standard Webhooks specification (https://www.standardwebhooks.com): HMAC-SHA256
over `id.timestamp.body`, in base64.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Iterable

PREFIX = "whsec_"
_NEW_BYTES = 32
_LEAST_BYTES = 16


def new_secret() -> str:
    """A random secret as receivers are given it."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_NEW_BYTES)).decode()


def key_of(secret: str) -> bytes:
    """The key that a secret stands for.

    Raises:
        ValueError: it is not `whsec_` and the base64 of at least 16 bytes.
    """
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"must be {PREFIX} and base64") from error
    if len(key) < _LEAST_BYTES:
        raise ValueError(f"must hold at least {_LEAST_BYTES} bytes")
    return key


def sign(keys: Iterable[bytes], message_id: str, timestamp: str, body: bytes) -> str:
    """The header `webhook-signature`: one signature for each key."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    digests = (hmac.new(key, signed, hashlib.sha256).digest() for key in keys)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)
