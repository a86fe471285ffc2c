"""The customer routes: `POST /add/<customer>`, `POST /userdevicesms`, `GET /score`."""

from __future__ import annotations

import json
import secrets
from typing import Any
from urllib.parse import quote

import pytest

from tests.services.stack import PROJECT, Stack
from tests.services.stacks import on_both_databases

pytestmark = on_both_databases

SALARIED: dict[str, Any] = json.loads((PROJECT / "examples" / "salaried.json").read_bytes())
EMPTY: dict[str, Any] = {"messages": []}


@pytest.fixture
def customer() -> str:
    return f"Änne {secrets.token_hex(6)}/?"


def score_of(customer: str) -> str:
    return f"/score?cust_id={quote(customer, safe='')}"


def test_a_customers_data_is_scored(stack: Stack, customer: str) -> None:
    path = f"/add/{quote(customer, safe='').replace('%2F', '_')}"
    response = stack.request("POST", path, json=SALARIED)

    assert response.status_code == 202
    job = stack.ended(response.json()["job_id"])
    assert job["task"] == "score"
    assert job["customer"] == job["result"]["customer"] == customer.replace("/", "_")
    assert 300 < job["result"]["score"] < 900
    assert job["progress"]["done"] == job["progress"]["total"]


def test_the_messages_of_a_device_are_scored(stack: Stack, customer: str) -> None:
    body = {"cust_id": customer, **EMPTY}
    response = stack.request("POST", "/userdevicesms", json=body, headers={"Prefer": "wait=20"})

    assert response.status_code == 200
    job = response.json()
    assert (job["task"], job["customer"], job["result"]["score"]) == ("score", customer, None)


def test_the_latest_score_is_the_customers_score(stack: Stack, customer: str) -> None:
    for data in (EMPTY, SALARIED):
        latest = stack.run("score", data, customer=customer)
    stack.submit("score", EMPTY, customer=customer, delay_seconds=3600)
    stack.run("echo", {"value": "no score"}, customer=customer)

    response = stack.request("GET", score_of(customer))
    assert response.status_code == 200
    result = stack.request("GET", f"/get_result?job_id={latest}")
    assert response.content == result.content
    etag = response.headers["ETag"]
    assert etag == result.headers["ETag"]
    again = stack.request("GET", score_of(customer), headers={"If-None-Match": etag})
    assert again.status_code == 304


def test_the_first_score_may_be_under_way(stack: Stack, customer: str) -> None:
    job_id = stack.submit("score", EMPTY, customer=customer, delay_seconds=3600)

    response = stack.request("GET", score_of(customer))
    assert response.status_code == 202
    assert response.json()["job_id"] == job_id
    assert response.headers["Retry-After"] == "30"


def test_a_customer_who_was_never_scored_is_not_found(stack: Stack, customer: str) -> None:
    stack.run("echo", customer=customer)
    canceled = stack.submit("score", EMPTY, customer=customer, delay_seconds=3600)
    stack.request("POST", f"/v1/jobs/{canceled}/cancel")
    assert stack.request("GET", score_of(customer)).status_code == 404


def test_a_score_belongs_to_the_client_who_asked_for_it(stack: Stack, customer: str) -> None:
    stack.run("score", EMPTY, customer=customer)
    assert stack.request("GET", score_of(customer), key=stack.other_key).status_code == 404
    assert stack.request("GET", score_of(customer), key=stack.operator_key).status_code == 200


@pytest.mark.parametrize("path", ["/score", "/score?cust_id="])
def test_a_score_without_a_customer_is_refused(stack: Stack, path: str) -> None:
    response = stack.request("GET", path)
    assert response.status_code == 400
    assert response.json()["error"] == "Pass cust_id"


@pytest.mark.parametrize("bad", ["%00", "a%0Ab", "x" * 201])
def test_a_name_no_customer_can_have_is_refused(stack: Stack, bad: str) -> None:
    for response in (
        stack.request("GET", f"/score?cust_id={bad}"),
        stack.request("POST", f"/add/{bad}", json=EMPTY),
    ):
        assert response.status_code == 400


@pytest.mark.parametrize("bad", [None, 7, "", "\n", "x" * 201, "\0"])
def test_a_device_without_a_customer_is_refused(stack: Stack, bad: Any) -> None:
    body = EMPTY if bad is None else {**EMPTY, "cust_id": bad}
    response = stack.request("POST", "/userdevicesms", json=body)
    assert response.status_code == 400
