"""Callbacks over HTTP: subscriptions, secrets, the log of deliveries, and sending again."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from jobresults import Client
from jobresults.client import InvalidCallback
from tests.services.process import eventually
from tests.services.receiver import Receiver, Reply, running_receiver
from tests.services.stack import PROJECT, SETTINGS, Shape, Stack
from tests.services.stacks import StartStack

EXAMPLE = yaml.safe_load((PROJECT / "examples/deploy_on_push.yaml").read_text())


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with running_receiver() as running:
        yield running


@pytest.fixture(scope="module")
def stack(start_stack: StartStack, receiver: Receiver) -> Iterator[Stack]:
    """A service that calls the receiver back, with the example's task and source in it."""
    modules = [*json.loads(SETTINGS["TASKS__MODULES"]), *EXAMPLE["tasks"]["modules"][1:]]
    settings = {
        "TASKS__MODULES": json.dumps(modules),
        "WEBHOOKS__SOURCES": json.dumps(EXAMPLE["webhooks"]["sources"]),
        "CALLBACKS__ALLOW_HTTP": "true",
        "CALLBACKS__ALLOWED_PORTS": json.dumps([receiver.port]),
        "CALLBACKS__ALLOWED_NETWORKS": '["127.0.0.0/8"]',
        "CALLBACKS__RETRY_SECONDS": "[0.1, 0.1, 60]",
        "CALLBACKS__POLL_SECONDS": "0.05",
    }
    with pytest.MonkeyPatch.context() as environ:
        environ.setenv("DEPLOY_HOOK_URL", receiver.url("/deploy"))
        yield start_stack(Shape(settings=settings))


@pytest.fixture(scope="module")
def secret(stack: Stack) -> str:
    """What signs callbacks to URLs that jobs name."""
    return str(stack.request("POST", "/v1/callback-secret").json()["secret"])


def subscribe(stack: Stack, url: str, **members: Any) -> dict[str, Any]:
    response = stack.request("POST", "/v1/callback-subscriptions", json={"url": url, **members})
    assert response.status_code == 201, response.text
    return dict(response.json())


def callback_of(stack: Stack, job_id: str, state: str) -> dict[str, Any]:
    """The job's one callback, once it is in that state."""

    def found() -> dict[str, Any] | None:
        (one,) = stack.request("GET", f"/v1/jobs/{job_id}/callbacks").json()["callbacks"]
        return one if one["state"] == state else None

    return eventually(found, f"its callback is {state}")


def test_a_jobs_url_is_told_of_its_end(stack: Stack, receiver: Receiver, secret: str) -> None:
    receiver.script("/one", Reply(503), Reply(204))
    job_id = stack.submit("echo", {"value": 7}, callback_url=receiver.url("/one"))
    requests = receiver.wait("/one", 2)
    told = requests[1].verified(secret)
    assert (told["type"], told["data"]["job_id"]) == ("job.succeeded", job_id)
    assert told["data"]["result"] == 7
    found = callback_of(stack, job_id, "delivered")
    assert found["callback_id"] == requests[0].id == requests[1].id
    assert [entry["status"] for entry in found["log"]] == [503, 204]
    assert found["next_attempt_at"] is None
    events = stack.request("GET", f"/v1/jobs/{job_id}/events").json()["events"]
    assert events[-1]["event"] == "callback_delivered"


def test_every_job_of_an_array_and_a_rerun_are_told_of(
    stack: Stack, receiver: Receiver, secret: str
) -> None:
    job = {"task": "echo", "callback_url": receiver.url("/array")}
    answer = stack.request("POST", "/v1/jobs", json=[job, job, {**job, "callback_url": "ftp://x"}])
    accepted = [item["job"]["job_id"] for item in answer.json()["jobs"][:2]]
    assert answer.json()["jobs"][2]["problem"]["errors"][0]["path"] == "[2].callback_url"
    requests = receiver.wait("/array", 2)
    assert {request.json["data"]["job_id"] for request in requests} == set(accepted)
    stack.ended(accepted[0])
    stack.request("POST", f"/v1/jobs/{accepted[0]}/rerun")
    receiver.wait("/array", 3)


def test_a_url_that_may_not_be_called_is_refused(
    stack: Stack, receiver: Receiver, secret: str
) -> None:
    before = stack.count_jobs()
    for url in ("http://10.0.0.1/", "https://x.example:22/", "nonsense", "https://a:b@x.example/"):
        response = stack.request("POST", "/v1/jobs", json={"task": "echo", "callback_url": url})
        assert response.status_code == 400
        assert response.json()["errors"][0]["path"] == "callback_url"
        response = stack.request("POST", "/v1/callback-subscriptions", json={"url": url})
        assert response.json()["errors"][0]["path"] == "url"
    body = {"task": "echo", "callback_url": receiver.url("/unsigned")}
    response = stack.request("POST", "/v1/jobs", json=body, key=stack.other_key)
    assert response.status_code == 400
    assert "POST /v1/callback-secret" in response.json()["detail"]
    assert stack.count_jobs() == before


def test_a_subscription_is_told_until_it_is_deleted(stack: Stack, receiver: Receiver) -> None:
    made = subscribe(stack, receiver.url("/sub"), events=["job.failed"])
    path = f"/v1/callback-subscriptions/{made['subscription_id']}"
    listed = stack.request("GET", "/v1/callback-subscriptions").json()["subscriptions"]
    assert made["secret"].startswith("whsec_")
    assert {**made, "secret": None} in [{**item, "secret": None} for item in listed]
    assert made["secret"] not in str(listed) + stack.request("GET", path).text
    stack.run("echo")
    failed = stack.run("fails_for_good")
    (request,) = receiver.wait("/sub")
    assert request.verified(made["secret"])["data"]["error"]["code"] == "task_error"
    assert callback_of(stack, failed, "delivered")["subscription_id"] == made["subscription_id"]

    rotated = stack.request("POST", f"{path}/rotate-secret").json()
    assert rotated["previous_retires_at"] is not None
    stack.run("fails_for_good")
    request = receiver.wait("/sub", 2)[1]
    assert request.verified(made["secret"]) == request.verified(rotated["secret"])

    assert stack.request("DELETE", path).status_code == 204
    assert stack.request("DELETE", path).status_code == 404
    assert stack.request("GET", path).status_code == 404


def test_gone_disables_a_subscription(stack: Stack, receiver: Receiver) -> None:
    receiver.script("/gone", Reply(410))
    made = subscribe(stack, receiver.url("/gone"), events=["job.failed"])
    job_id = stack.run("fails_for_good")
    found = callback_of(stack, job_id, "stopped")
    path = f"/v1/callback-subscriptions/{made['subscription_id']}"
    assert stack.request("GET", path).json()["disabled_at"] is not None
    response = stack.request("POST", f"/v1/callbacks/{found['callback_id']}/redeliver")
    assert response.status_code == 409
    stack.request("DELETE", path)


def test_an_ended_callback_is_sent_again_by_api_and_command(
    stack: Stack, receiver: Receiver, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = stack.run("echo", callback_url=receiver.url("/again"))
    found = callback_of(stack, job_id, "delivered")
    path = f"/v1/callbacks/{found['callback_id']}"
    assert stack.request("POST", f"{path}/redeliver").status_code == 202
    receiver.wait("/again", 2)
    callback_of(stack, job_id, "delivered")

    monkeypatch.setitem(stack._environ, "JOBRESULTS_URL", stack.url)
    monkeypatch.setitem(stack._environ, "JOBRESULTS_TOKEN", stack.key)
    monkeypatch.setitem(stack._environ, "no_proxy", "127.0.0.1")
    assert found["callback_id"] in stack.command("callbacks", "list", "--state", "delivered")
    assert json.loads(stack.command("callbacks", "show", found["callback_id"]))["attempts"] == 2
    assert json.loads(stack.command("callbacks", "redeliver", found["callback_id"]))["log"]
    assert len({request.id for request in receiver.wait("/again", 3)}) == 1


def test_callbacks_are_listed_page_by_page(stack: Stack, receiver: Receiver, secret: str) -> None:
    ids = [stack.run("echo", callback_url=receiver.url("/listed")) for _ in range(3)]
    page = stack.request("GET", "/v1/callbacks?limit=2").json()
    rest = stack.request("GET", f"/v1/callbacks?cursor={page['next_cursor']}").json()
    jobs = [item["job_id"] for item in (*page["callbacks"], *rest["callbacks"])]
    assert jobs[:3] == ids[::-1]
    assert stack.request("GET", "/v1/callbacks?state=lost").status_code == 400
    with Client(stack.url, stack.key) as client:
        newest = next(client.callbacks.list())
        assert client.callbacks.get(newest["callback_id"])["job_id"] == ids[-1]


def test_what_is_anothers_is_absent(stack: Stack, receiver: Receiver, secret: str) -> None:
    made = subscribe(stack, receiver.url("/mine"), events=["job.canceled"])
    job_id = stack.run("echo", callback_url=receiver.url("/mine"))
    callback_id = callback_of(stack, job_id, "delivered")["callback_id"]
    unknown = "00000000-0000-7000-8000-000000000000"
    for method, path, id_ in (
        ("GET", "/v1/callbacks/{}", callback_id),
        ("POST", "/v1/callbacks/{}/redeliver", callback_id),
        ("GET", "/v1/callback-subscriptions/{}", made["subscription_id"]),
        ("POST", "/v1/callback-subscriptions/{}/rotate-secret", made["subscription_id"]),
        ("DELETE", "/v1/callback-subscriptions/{}", made["subscription_id"]),
    ):
        answers = []
        for one in (id_, unknown):
            response = stack.request(method, path.format(one), key=stack.other_key)
            body = response.json()
            answers.append({**body, "request_id": "", "instance": ""})
            assert response.status_code == 404
        assert answers[0] == answers[1]
        assert stack.request(method, path.format("x"), key=stack.other_key).status_code == 404
    for path in ("/v1/callbacks", "/v1/callback-subscriptions"):
        (listed,) = (
            value
            for value in stack.request("GET", path, key=stack.other_key).json().values()
            if isinstance(value, list)
        )
        assert listed == []
    stack.request("DELETE", f"/v1/callback-subscriptions/{made['subscription_id']}")


def test_a_client_has_so_many_subscriptions_at_most(stack: Stack, receiver: Receiver) -> None:
    key = stack.new_key("crowd")
    body = {"url": receiver.url("/many")}
    path = "/v1/callback-subscriptions"
    statuses = [stack.request("POST", path, json=body, key=key).status_code for _ in range(21)]
    assert statuses == [201] * 20 + [409]


def test_a_forged_callback_is_not_genuine(stack: Stack, receiver: Receiver, secret: str) -> None:
    stack.run("echo", callback_url=receiver.url("/forged"))
    (request,) = receiver.wait("/forged")
    with pytest.raises(InvalidCallback):
        request.verified("whsec_" + "A" * 40)


def test_the_secrets_are_in_no_log(stack: Stack, secret: str) -> None:
    assert secret.removeprefix("whsec_") not in stack.logs()
    assert EXAMPLE["webhooks"]["sources"][0]["secrets"][0] not in stack.logs()


def test_the_example_deploys_what_is_pushed_to_main(stack: Stack, receiver: Receiver) -> None:
    (source,) = EXAMPLE["webhooks"]["sources"]
    key, commit = stack.new_key(source["client"]), secrets.token_hex(20)
    receiver.script("/deploy", Reply(503), Reply(202))

    def push(ref: str) -> dict[str, Any]:
        document = {"ref": ref, "after": commit, "repository": {"full_name": "shop/web"}}
        body = json.dumps(document).encode()
        signature = hmac.new(source["secrets"][0].encode(), body, hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/json",
            "X-GitHub-Event": "push",
            "X-Hub-Signature-256": f"sha256={signature}",
        }
        path = f"/webhook/{source['name']}"
        return dict(stack.request("POST", path, data=body, headers=headers, key=None).json())

    assert push("refs/heads/topic") == {"status": "ignored"}
    job_id = push("refs/heads/main")["job_id"]
    job = stack.ended(job_id, key=key)
    assert job["result"] == {"repository": "shop/web", "commit": commit, "status": 202}
    first, second = receiver.wait("/deploy", 2)
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"] == job_id
    assert second.json == {"repository": "shop/web", "commit": commit}
