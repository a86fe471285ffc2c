"""`POST /webhook/<source>`: only genuine webhooks become jobs, and each only once."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests

from tests.services.stack import WEBHOOK_SECRET, Stack


def send(
    stack: Stack,
    document: Any,
    *,
    source: str = "forge",
    secret: str = WEBHOOK_SECRET,
    **options: Any,
) -> requests.Response:
    """A webhook as GitHub sends it."""
    body = options.pop("body", None) or json.dumps(document).encode()
    signature = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/json",
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": secrets.token_hex(8),
        "X-Hub-Signature-256": signature,
        **options.pop("headers", {}),
    }
    return stack.request("POST", f"/webhook/{source}", data=body, headers=headers, key=None)


def push(**changes: Any) -> dict[str, Any]:
    return {"value": secrets.token_hex(8), "ref": "refs/heads/main", "customer": "ann", **changes}


def test_a_genuine_webhook_becomes_a_job_of_the_configured_client(stack: Stack) -> None:
    document = push()
    response = send(stack, document)
    assert response.status_code == 202
    assert response.json()["status"] == "accepted"
    job = stack.ended(response.json()["job_id"])
    assert (job["task"], job["result"], job["customer"]) == ("echo", document["value"], "ann")
    assert job["tags"] == ["webhook:forge"]


def test_the_same_webhook_again_is_the_same_job(stack: Stack) -> None:
    """By the body, which is signed; the id of the delivery is not, so it can be anything."""
    body = json.dumps(push()).encode()
    before = stack.count_jobs()
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: send(stack, None, body=body), range(4)))
    again = send(stack, None, body=body)
    ids = {answer.json()["job_id"] for answer in (*answers, again) if answer.status_code == 202}
    assert again.status_code == 202
    assert len(ids) == 1
    assert {answer.status_code for answer in answers} <= {202, 409}
    assert stack.count_jobs() == before + 1


def test_what_is_not_genuine_is_refused_before_it_is_read(stack: Stack) -> None:
    before = stack.count_jobs()
    for headers in (
        {"X-Hub-Signature-256": "sha256=" + "0" * 64},
        {"X-Hub-Signature-256": b"sha256=\xe9\xff"},
        {"X-Hub-Signature-256": ""},
        {"X-Hub-Signature-256": None, "X-Hub-Signature": "sha1=0"},
    ):
        response = send(stack, push(), headers=headers)
        assert (response.status_code, response.json()["code"]) == (401, "bad_signature")
    assert send(stack, None, body=b"{", secret="another").status_code == 401
    assert stack.count_jobs() == before


def test_an_unknown_source_is_not_found(stack: Stack) -> None:
    assert send(stack, push(), source="nobody").status_code == 404


def test_a_ping_and_other_events_are_taken_without_a_job(stack: Stack) -> None:
    before = stack.count_jobs()
    ping = send(stack, {"zen": "Keep it simple."}, headers={"X-GitHub-Event": "ping"})
    assert (ping.status_code, ping.json()) == (200, {"status": "pong"})
    for changes, event in (({}, "issues"), ({"ref": "refs/heads/dev"}, "push")):
        other = send(stack, push(**changes), headers={"X-GitHub-Event": event})
        assert (other.status_code, other.json()) == (200, {"status": "ignored"})
    assert stack.count_jobs() == before


def test_a_genuine_body_that_cannot_be_used_is_told_why(stack: Stack) -> None:
    assert send(stack, None, body=b"{").status_code == 400
    assert send(stack, None, body=b'{"a": 1, "a": 2}').status_code == 400
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert send(stack, push(), headers=form).status_code == 415
    assert send(stack, None, body=b"x" * 1_048_577).status_code == 413
    response = send(stack, push(customer="\n"))
    assert (response.status_code, response.json()["code"]) == (400, "invalid_request")
