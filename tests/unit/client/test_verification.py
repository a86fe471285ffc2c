"""Telling genuine callbacks from forged ones."""

from __future__ import annotations

import time
from typing import Any

import pytest

from jobresults import verify_callback
from jobresults.client import ClientError, InvalidCallback
from jobresults.webhooks import signatures

SECRET = signatures.new_secret()
BODY = b'{"type": "job.succeeded", "data": {}}'


def signed(*secrets: str, age_seconds: int = 0, body: bytes = BODY) -> dict[str, str]:
    timestamp = str(int(time.time()) - age_seconds)
    keys = [signatures.key_of(secret) for secret in secrets or [SECRET]]
    return {
        "Webhook-Id": "1",
        "webhook-timestamp": timestamp,
        "WEBHOOK-SIGNATURE": signatures.sign(keys, "1", timestamp, body),
    }


def test_a_genuine_callback_is_given_back() -> None:
    assert verify_callback(signed(), BODY, SECRET)["type"] == "job.succeeded"


def test_during_a_change_old_and_new_secrets_are_both_good() -> None:
    new = signatures.new_secret()
    assert verify_callback(signed(new, SECRET), BODY, SECRET)
    assert verify_callback(signed(new, SECRET), BODY, new)
    assert verify_callback(signed(SECRET), BODY, [new, SECRET])


@pytest.mark.parametrize(
    ("headers", "body", "words"),
    [
        ({}, BODY + b" ", "matches none"),
        ({"Webhook-Id": "2"}, BODY, "matches none"),
        ({"WEBHOOK-SIGNATURE": "v1,é\xff"}, BODY, "matches none"),
        ({"WEBHOOK-SIGNATURE": ""}, BODY, "matches none"),
        ({"webhook-timestamp": "now"}, BODY, "matches none"),
    ],
)
def test_a_forged_callback_is_refused(headers: dict[str, str], body: bytes, words: str) -> None:
    with pytest.raises(InvalidCallback, match=words):
        verify_callback({**signed(), **headers}, body, SECRET)


def test_a_missing_header_is_named() -> None:
    headers: dict[str, Any] = signed()
    del headers["webhook-timestamp"]
    with pytest.raises(InvalidCallback, match="no header webhook-timestamp"):
        verify_callback(headers, BODY, SECRET)


def test_an_old_or_future_callback_is_refused() -> None:
    for age_seconds in (400, -400):
        with pytest.raises(InvalidCallback, match="not within 300 s"):
            verify_callback(signed(age_seconds=age_seconds), BODY, SECRET)
    assert verify_callback(signed(age_seconds=400), BODY, SECRET, tolerance_seconds=1_000)


def test_a_secret_that_is_none_is_the_callers_mistake() -> None:
    with pytest.raises(ClientError, match="whsec_"):
        verify_callback(signed(), BODY, "not base64!")
