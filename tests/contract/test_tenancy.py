"""What is not a caller's does not exist for it: not read, not touched, not told from unknown.

Two strangers look at a job: another client, and a key of its own client that is limited to other
customers.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from functools import cache, cached_property
from typing import Any, NamedTuple

import pytest
import requests

from jobresults.accounts.api_keys import issue_key
from jobresults.accounts.grant import Grant
from jobresults.web.app import ROUTES
from jobresults.web.routing import PUBLIC
from tests.services.stack import CLIENT_SCOPES, Stack
from tests.services.stacks import on_both_databases, with_and_without_lane

UNKNOWN = "00000000-0000-7000-8000-000000000000"
MALFORMED = "x" * len(UNKNOWN)


class World:
    """Jobs of one customer in several states, and those who must not know of them."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.customer = f"customer-{secrets.token_hex(4)}"
        self.jobs = [
            stack.run("echo", customer=self.customer),
            stack.run("fails_for_good", customer=self.customer),
            stack.submit("unserved", customer=self.customer),
        ]
        self.limited = self.key_for("elsewhere")
        self.strangers = [stack.other_key, self.limited]

    def key_for(self, *customers: str) -> str:
        """A key of the jobs' client that reaches these customers alone."""
        return issue_key(self.stack.ledger, Grant("acme", CLIENT_SCOPES, customers))[0]

    @cached_property
    def viewer(self) -> str:
        """The token of a person without rights over others."""
        name, password = f"v-{secrets.token_hex(4)}", "correct horse"
        made = self.post("/user/", {"name": name, "password": password})
        assert made.status_code == 201
        return self.stack.log_in(name, password)

    @cached_property
    def callback(self) -> dict[str, str]:
        """Of a third client; there is nobody at its URL."""
        key = self.stack.new_key(f"c-{secrets.token_hex(4)}", *CLIENT_SCOPES)
        wanted = {"url": "https://hooks.invalid/", "events": ["job.canceled"]}
        assert self.post("/v1/callback-subscriptions", wanted, key).status_code == 201
        job = self.post("/v1/jobs", {"task": "unserved", "params": {"value": 1}}, key).json()
        path = f"/v1/jobs/{job['job_id']}"
        assert self.post(f"{path}/cancel", None, key).status_code == 200
        (callback,) = self.stack.request("GET", f"{path}/callbacks", key=key).json()["callbacks"]
        return dict(callback)

    def post(self, path: str, body: Any, key: str | None = None) -> requests.Response:
        key = key or self.stack.operator_key
        return self.stack.request("POST", path, key=key, json=body)


class Ask(NamedTuple):
    """A request as a stranger makes it, with `{}` for what is foreign and for what is unknown."""

    stranger: str
    path: str
    foreign: str
    unknown: str
    body: Any = None
    status: int = 404


Asks = Callable[[World], Iterator[Ask]]


def of_job(path: str, **options: Any) -> Asks:
    """A route that names a job."""

    def asks(world: World) -> Iterator[Ask]:
        for job_id in world.jobs:
            for stranger in world.strangers:
                yield Ask(stranger, path, job_id, UNKNOWN, **options)

    return asks


def of_list(world: World) -> Iterator[Ask]:
    for stranger in world.strangers:
        for query in ("id={}", "q={}"):
            yield Ask(stranger, f"/v1/jobs?{query}", world.jobs[0], UNKNOWN, status=200)
        yield Ask(stranger, "/v1/jobs?customer={}", world.customer, "nobody", status=200)


def of_page_of_jobs(world: World) -> Iterator[Ask]:
    for stranger in world.strangers:
        yield Ask(stranger, "/jobs?customer={}", world.customer, "nobody", status=200)


def of_score(world: World) -> Iterator[Ask]:
    # Scores are of customers: another client has none of this one's either.
    for stranger in world.strangers:
        yield Ask(stranger, "/score?cust_id={}", world.customer, "nobody")


def of_customer(path: str, body: Any) -> Asks:
    """A route that submits for a customer: other clients may, a key for others may not."""

    def asks(world: World) -> Iterator[Ask]:
        yield Ask(world.limited, path, world.customer, "nobody", body, status=403)

    return asks


def of_person(body: Any = None) -> Asks:
    def asks(world: World) -> Iterator[Ask]:
        made = world.post("/user/", {"name": f"o-{secrets.token_hex(4)}", "password": "x" * 8})
        yield Ask(world.viewer, "/user/{}", str(made.json()["id"]), "999999999", body)

    return asks


def of_callback(path: str, member: str, **options: Any) -> Asks:
    """A route that names a callback, or a subscription to them: not for keys of some customers."""

    def asks(world: World) -> Iterator[Ask]:
        found = world.callback[member]
        yield Ask(world.stack.other_key, path, found, UNKNOWN, **options)
        yield Ask(world.limited, path, found, UNKNOWN, status=403)

    return asks


def nothing(_world: World) -> Iterator[Ask]:
    """The route names nothing that could be another's, or is for operators, who reach all."""
    return iter(())


# Every route that wants credentials; the first test fails for a route that has no line here.
TENANCY: dict[str, Asks] = {
    "POST /v1/jobs": of_customer("/v1/jobs", {"task": "echo", "params": {}, "customer": "{}"}),
    "POST /add/<customer>": of_customer("/add/{}", {"messages": []}),
    "POST /userdevicesms": of_customer("/userdevicesms", {"cust_id": "{}", "messages": []}),
    "GET /get_result": of_job("/get_result?job_id={}"),
    "GET /v1/jobs/<job_id>/result": of_job("/v1/jobs/{}/result"),
    "GET /score": of_score,
    "GET /v1/jobs": of_list,
    "GET /v1/jobs/<job_id>": of_job("/v1/jobs/{}"),
    "POST /v1/jobs/<job_id>/cancel": of_job("/v1/jobs/{}/cancel"),
    "POST /v1/jobs/<job_id>/rerun": of_job("/v1/jobs/{}/rerun"),
    "GET /v1/jobs/<job_id>/logs": of_job("/v1/jobs/{}/logs"),
    "GET /v1/jobs/<job_id>/events": of_job("/v1/jobs/{}/events"),
    "GET /jobs": of_page_of_jobs,
    "GET /jobs/<job_id>": of_job("/jobs/{}"),
    "GET /jobs/<job_id>/result": of_job("/jobs/{}/result"),
    "POST /jobs/<job_id>/cancel": of_job("/jobs/{}/cancel"),
    "POST /jobs/<job_id>/rerun": of_job("/jobs/{}/rerun"),
    "GET /v1/jobs/<job_id>/callbacks": of_job("/v1/jobs/{}/callbacks"),
    "GET /v1/callbacks": of_callback("/v1/callbacks?cursor={}", "callback_id", status=200),
    "GET /v1/callbacks/<callback_id>": of_callback("/v1/callbacks/{}", "callback_id"),
    "POST /v1/callbacks/<callback_id>/redeliver": of_callback(
        "/v1/callbacks/{}/redeliver", "callback_id"
    ),
    "GET /v1/callback-subscriptions": nothing,
    "POST /v1/callback-subscriptions": nothing,
    "GET /v1/callback-subscriptions/<subscription_id>": of_callback(
        "/v1/callback-subscriptions/{}", "subscription_id"
    ),
    "DELETE /v1/callback-subscriptions/<subscription_id>": of_callback(
        "/v1/callback-subscriptions/{}", "subscription_id"
    ),
    "POST /v1/callback-subscriptions/<subscription_id>/rotate-secret": of_callback(
        "/v1/callback-subscriptions/{}/rotate-secret", "subscription_id"
    ),
    "POST /v1/callback-secret": nothing,
    "GET /v1/tasks": nothing,
    "GET /v1/queues": nothing,
    "POST /v1/queues/<name>/pause": nothing,
    "POST /v1/queues/<name>/resume": nothing,
    "GET /v1/workers": nothing,
    "GET /v1/alerts": nothing,
    "GET /v1/alerts/<fingerprint>": nothing,
    "GET /v1/silences": nothing,
    "POST /v1/silences": nothing,
    "DELETE /v1/silences/<silence_id>": nothing,
    "POST /logout": nothing,
    "POST /sign-out": nothing,
    "GET /v1/whoami": nothing,
    "GET /user/": nothing,
    "POST /user/": nothing,
    "GET /user/<user_id>": of_person(),
    "PATCH /user/<user_id>": of_person({"name": "taken-over"}),
    "DELETE /user/<user_id>": of_person(),
    "GET /v1/api-keys": nothing,
    "POST /v1/api-keys": nothing,
    "DELETE /v1/api-keys/<key_id>": nothing,
}
BY_LANE = ("GET /get_result", "GET /v1/jobs/<job_id>/result")
OF_ONE_JOB = [name for name in TENANCY if "<job_id>" in name or name == "GET /get_result"]


@pytest.fixture(scope="module")
def world_of() -> Callable[[Stack], World]:
    """The one world of each stack."""
    return cache(World)


@pytest.fixture
def world(world_of: Callable[[Stack], World], stack: Stack) -> World:
    return world_of(stack)


def test_every_protected_route_says_what_of_others_it_could_touch() -> None:
    names = {f"{route.method} {route.path}" for route in ROUTES if route.scope is not PUBLIC}
    assert set(TENANCY) == names


@on_both_databases
@pytest.mark.parametrize("name", [name for name in TENANCY if TENANCY[name] is not nothing])
def test_what_is_foreign_looks_like_what_is_unknown(world: World, name: str) -> None:
    look_at_foreign(world, name)


@with_and_without_lane
@pytest.mark.parametrize("name", BY_LANE)
def test_a_wait_does_not_tell_a_foreign_job(world: World, name: str) -> None:
    look_at_foreign(world, name, Prefer="wait=20")


def look_at_foreign(world: World, name: str, **headers: str) -> None:
    """Asks for the foreign and for the unknown; nothing of the answers differs, nothing happens."""
    stack, method = world.stack, name.partition(" ")[0]
    asks = list(TENANCY[name](world))
    before, count = [stack.job(job_id) for job_id in world.jobs], stack.count_jobs()
    for ask in asks:
        answers = []
        for value in (ask.foreign, ask.unknown):
            response = stack.request(
                method,
                ask.path.format(value),
                key=ask.stranger,
                json=filled(ask.body, value),
                headers=headers,
            )
            assert response.status_code == ask.status, f"{name}: {response.text}"
            answers.append(seen(response, value))
        assert answers[0] == answers[1], name
    assert asks
    assert stack.count_jobs() == count
    after = [stack.job(job_id) for job_id in world.jobs]
    assert [{**job, "position": None} for job in before] == [
        {**job, "position": None} for job in after
    ]


def filled(body: Any, value: str) -> Any:
    if not isinstance(body, dict):
        return body
    return {name: value if member == "{}" else member for name, member in body.items()}


def seen(response: requests.Response, value: str) -> tuple[int, dict[str, str], bytes]:
    """All a caller sees, but for what differs between any two requests."""
    request_id = response.headers["X-Request-ID"]
    hidden = ("Date", "X-Request-ID", "traceparent")
    headers = {name: text for name, text in response.headers.items() if name not in hidden}
    body = response.content.replace(request_id.encode(), b"?").replace(f"/{value}".encode(), b"?")
    if value in response.url:
        headers.pop("Content-Length")  # the problem names the path
    return response.status_code, headers, body


@on_both_databases
def test_a_key_for_a_customer_reaches_that_customers_jobs_alone(world: World) -> None:
    stack, key = world.stack, world.key_for(world.customer, "elsewhere")
    listed = stack.request("GET", "/v1/jobs", key=key).json()["jobs"]
    assert {job["job_id"] for job in listed} == set(world.jobs)
    body = {"task": "echo", "params": {"value": 1}, "customer": world.customer}
    answer = world.post("/v1/jobs", {**body, "task": "unserved"}, key)
    assert answer.status_code == 202
    mine = answer.json()["job_id"]
    world.jobs.append(mine)
    assert stack.request("GET", f"/v1/jobs/{mine}", key=key).status_code == 200
    without = world.post("/v1/jobs", {"task": "echo", "params": {}}, key)
    several = world.post("/v1/jobs", [body, {**body, "customer": "foreign"}], key)
    for refused, where in ((without, "customer: "), (several, "[1].customer: ")):
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
        assert refused.json()["detail"].startswith(where)


def test_operators_and_people_reach_every_clients_job(world: World) -> None:
    stack = world.stack
    for name in OF_ONE_JOB:
        method, path = name.replace("<job_id>", world.jobs[0]).split(" ")
        if path == "/get_result":
            path += f"?job_id={world.jobs[0]}"
        response = stack.request(method, path, key=stack.operator_key)
        assert response.status_code in (200, 202, 303, 409), name
        if method == "GET":
            assert stack.request(method, path, key=world.viewer).status_code == 200


@with_and_without_lane
def test_a_malformed_id_is_told_by_get_result_alone(stack: Stack) -> None:
    for name in OF_ONE_JOB:
        method, path = name.replace("<job_id>", "{}").split(" ")
        if path == "/get_result":
            path += "?job_id={}"
        responses = [stack.request(method, path.format(value)) for value in (MALFORMED, UNKNOWN)]
        if name == "GET /get_result":
            assert [response.status_code for response in responses] == [400, 404]
        else:
            assert seen(responses[0], MALFORMED) == seen(responses[1], UNKNOWN)
