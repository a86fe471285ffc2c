"""Whether a webhook was sent by who shares a secret with us, told from its raw bytes.

All comparing is of bytes: a header may hold anything.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from jobresults.settings import WebhookSource
from jobresults.webhooks import signatures

MOST_SIGNATURES = 10


@dataclass(frozen=True)
class Delivery:
    """A genuine webhook. `key`: what its repetitions share, all of it signed."""

    key: str
    event: str | None = None


# Gives a header of the request, an empty text if it has none.
Header = Callable[[str], str]
Verify = Callable[[Header, bytes], Delivery | None]


def verifier(source: WebhookSource) -> Verify:
    """Tells genuine webhooks of a source from others, for which it gives None.

    Raises:
        ValueError: a secret cannot be used.
    """
    secrets = [secret.get_secret_value() for secret in source.secrets]
    if source.kind == "standard":
        keys = [signatures.key_of(secret) for secret in secrets]
        return lambda header, body: _standard(source, keys, header, body)
    keys = [secret.encode() for secret in secrets]
    if not all(keys):
        raise ValueError("must not be empty")
    if source.kind == "github":
        return lambda header, body: _github(source, keys, header, body)
    return lambda header, body: _hmac(source, keys, header, body)


def _github(
    source: WebhookSource, keys: Sequence[bytes], header: Header, body: bytes
) -> Delivery | None:
    """https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries"""
    given = header("X-Hub-Signature-256")
    genuine = _matches(given, [f"sha256={_hex(key, body, 'sha256')}".encode() for key in keys])
    if not genuine and not given and source.allow_sha1:
        given = header("X-Hub-Signature")
        genuine = _matches(given, [f"sha1={_hex(key, body, 'sha1')}".encode() for key in keys])
    # The id of the delivery is not signed: whoever has seen one could send it under another.
    return Delivery(_digest(body), header("X-GitHub-Event")) if genuine else None


def _standard(
    source: WebhookSource, keys: Sequence[bytes], header: Header, body: bytes
) -> Delivery | None:
    id_, timestamp = header("webhook-id"), header("webhook-timestamp")
    if not id_ or not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        return None
    if abs(time.time() - int(timestamp)) > source.tolerance_seconds:
        return None
    if not id_.isascii():
        return None
    wanted = [signatures.sign([key], id_, timestamp, body).encode() for key in keys]
    given = header("webhook-signature").split(" ")[:MOST_SIGNATURES]
    genuine = any(_matches(one, wanted) for one in given)
    return Delivery(_digest(id_.encode())) if genuine else None


def _hmac(
    source: WebhookSource, keys: Sequence[bytes], header: Header, body: bytes
) -> Delivery | None:
    wanted = []
    for key in keys:
        digest = hmac.new(key, body, hashlib.sha256).digest()
        text = digest.hex() if source.encoding == "hex" else base64.b64encode(digest).decode()
        wanted.append(f"{source.prefix}{text}".encode())
    genuine = _matches(header(source.header or ""), wanted)
    return Delivery(_digest(body)) if genuine else None


def _matches(given: str, wanted: Sequence[bytes]) -> bool:
    """Whether it is one of them, in a time that does not tell how nearly."""
    as_sent = given.encode("latin-1", "replace")  # how WSGI hands over what is not ASCII
    return any(hmac.compare_digest(as_sent, one) for one in wanted)


def _hex(key: bytes, body: bytes, algorithm: str) -> str:
    return hmac.new(key, body, algorithm).hexdigest()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
