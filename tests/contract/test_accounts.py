"""People: registering, logging in and out, and their accounts; API keys over HTTP."""

from __future__ import annotations

import itertools
import secrets
from typing import Any

import pytest
from sqlalchemy import update

from jobresults.accounts import api_keys, people
from jobresults.accounts.model import api_key
from jobresults.accounts.people import Change
from tests.services.process import eventually
from tests.services.stack import Stack
from tests.services.stacks import on_both_databases

PASSWORD = "correct horse battery"
_numbers = itertools.count()


class Person:
    """An account made for one test, and its token."""

    def __init__(self, stack: Stack, role: str = "viewer") -> None:
        self.name = f"{role}{next(_numbers)}-{secrets.token_hex(4)}"
        body = {"name": self.name, "password": PASSWORD, "role": role}
        made = stack.request("POST", "/user/", key=stack.operator_key, json=body)
        assert made.status_code == 201, made.text
        self.path = made.headers["Location"]
        self.id = made.json()["id"]
        self.token = stack.log_in(self.name, PASSWORD)


def new_key(stack: Stack, **members: Any) -> dict[str, Any]:
    body = {"client": "acme", "scopes": ["read"], **members}
    response = stack.request("POST", "/v1/api-keys", key=stack.operator_key, json=body)
    assert response.status_code == 201, response.text
    return dict(response.json())


@on_both_databases
def test_whoever_registers_can_log_in_read_and_log_out(stack: Stack) -> None:
    body = {"name": f"Ann-{secrets.token_hex(4)}", "password": PASSWORD}
    made = stack.request("POST", "/register", key=None, json=body)
    assert made.status_code == 201
    assert made.json()["role"] == "viewer"
    assert made.json()["name"] == body["name"].lower()
    again = stack.request(
        "POST", "/register", key=None, json={**body, "name": body["name"].upper()}
    )
    assert (again.status_code, again.json()["code"]) == (409, "conflict")

    login = stack.request("POST", "/login", key=None, json=body)
    assert login.status_code == 200
    assert (login.json()["token_type"], login.json()["expires_in"]) == ("Bearer", 3600)
    assert login.headers["Cache-Control"] == "no-store"
    token = login.json()["token"]
    me = stack.request("GET", made.headers["Location"], key=token)
    assert me.json() == made.json()
    assert stack.request("GET", "/v1/jobs", key=token).status_code == 200

    assert stack.request("POST", "/logout", key=token).status_code == 204
    other = stack.log_in(body["name"], PASSWORD)
    assert stack.request("GET", made.headers["Location"], key=other).status_code == 200
    assert stack.request("POST", "/logout", key=other).status_code == 204


def test_a_key_has_nothing_to_log_out(stack: Stack) -> None:
    response = stack.request("POST", "/logout")
    assert response.status_code == 409
    assert "/v1/api-keys" in response.json()["detail"]


@pytest.mark.parametrize(
    ("path", "body", "where"),
    [
        ("/register", {"name": "bob", "password": "1234567"}, "password"),
        ("/register", {"name": "bob", "password": "x" * 257}, "password"),
        ("/register", {"name": "bob", "password": 12345678}, "password"),
        ("/register", {"name": "b b", "password": PASSWORD}, "name"),
        ("/register", {"name": "", "password": PASSWORD}, "name"),
        ("/register", {"password": PASSWORD}, "name"),
        ("/register", {"name": "bob", "password": PASSWORD, "role": "admin"}, "role"),
        ("/login", {"name": "bob", "password": PASSWORD, "role": "admin"}, "role"),
        ("/login", {"name": "bob"}, "password"),
        ("/user/", {"name": "bob", "password": PASSWORD, "role": "root"}, "role"),
        ("/user/", {"name": "bob", "password": PASSWORD, "id": 1}, "id"),
        ("/v1/api-keys", {"client": "user:bob", "scopes": ["read"]}, "client"),
        ("/v1/api-keys", {"client": "a\x80", "scopes": ["read"]}, "client"),
        ("/v1/api-keys", {"client": "acme", "scopes": ["fly"]}, "scopes.0"),
        ("/v1/api-keys", {"client": "a", "scopes": ["operate"], "customers": ["c"]}, "customers"),
        ("/v1/api-keys", {"client": "a", "scopes": ["read"], "expires_in_seconds": 0}, "expires"),
    ],
    ids=str,
)
def test_a_wrong_body_is_told_by_its_member(
    stack: Stack, path: str, body: dict[str, Any], where: str
) -> None:
    response = stack.request("POST", path, key=stack.operator_key, json=body)
    assert response.status_code == 400
    assert response.json()["errors"][0]["path"].startswith(where)
    assert response.json()["detail"].startswith(where)
    assert str(body.get("password", "none")) not in response.text


def test_roles_bring_their_scopes_and_no_more(stack: Stack) -> None:
    job_id = stack.run("echo")
    job, cancel = f"/v1/jobs/{job_id}", f"/v1/jobs/{job_id}/cancel"
    submit = {"task": "echo", "params": {}}
    asked = [
        ("GET", job, None),
        ("POST", "/v1/jobs", submit),
        ("POST", cancel, None),
        ("GET", "/user/", None),
        ("GET", "/v1/api-keys", None),
    ]
    allowed = {"viewer": 1, "operator": 3, "admin": 5}
    for role, count in allowed.items():
        person = Person(stack, role)
        statuses = [
            stack.request(method, path, key=person.token, json=body).status_code
            for method, path, body in asked
        ]
        assert [status != 403 for status in statuses] == [place < count for place in range(5)]


def test_the_jobs_of_a_person_are_not_a_clients(stack: Stack) -> None:
    person = Person(stack, "operator")
    submitted = stack.request(
        "POST", "/v1/jobs", key=person.token, json={"task": "echo", "params": {}}
    )
    key = stack.new_key(person.name)
    assert stack.request("GET", submitted.headers["Location"], key=key).status_code == 404


def test_a_person_reads_and_changes_itself_alone(stack: Stack) -> None:
    me, other = Person(stack), Person(stack, "operator")
    for method in ("GET", "PATCH", "DELETE"):
        body = {"name": "new"} if method == "PATCH" else None
        foreign = stack.request(method, other.path, key=me.token, json=body)
        assert (foreign.status_code, foreign.json()["detail"]) == (404, "user not found")
    for member in ({"role": "admin"}, {"disabled": False}):
        response = stack.request("PATCH", me.path, key=me.token, json=member)
        assert response.status_code == 403
        assert response.json()["detail"].startswith(next(iter(member)))
    renamed = stack.request("PATCH", me.path, key=me.token, json={"name": f"{me.name}-2"})
    assert renamed.json()["name"] == f"{me.name}-2"
    assert stack.request("DELETE", me.path, key=me.token).status_code == 204
    gone = stack.request("GET", me.path, key=stack.operator_key)
    assert (gone.status_code, gone.json()["error"]) == (404, "user not found")


def test_an_own_password_is_changed_by_who_knows_it(stack: Stack) -> None:
    me = Person(stack)
    change = {"password": "another one", "current_password": PASSWORD}
    without = stack.request("PATCH", me.path, key=me.token, json={"password": "another one"})
    assert (without.status_code, without.json()["errors"][0]["path"]) == (400, "current_password")
    wrong = {**change, "current_password": "a guess"}
    assert stack.request("PATCH", me.path, key=me.token, json=wrong).status_code == 403
    assert stack.request("PATCH", me.path, key=me.token, json=change).status_code == 200
    old = {"name": me.name, "password": PASSWORD}
    assert stack.request("POST", "/login", key=None, json=old).status_code == 401
    stack.log_in(me.name, "another one")


def test_admins_list_and_change_everyone(stack: Stack) -> None:
    admin, person = Person(stack, "admin"), Person(stack)
    seen: list[dict[str, Any]] = []
    after = 0
    while after is not None:
        page = stack.request("GET", f"/user/?limit=2&after={after}", key=admin.token).json()
        seen, after = seen + page["users"], page["next_after"]
    assert {admin.id, person.id} <= {user["id"] for user in seen}
    assert set(seen[0]) == {"id", "name", "role", "created_at", "disabled"}
    change = {"role": "operator", "disabled": True, "password": "given anew"}
    changed = stack.request("PATCH", person.path, key=admin.token, json=change)
    assert (changed.json()["role"], changed.json()["disabled"]) == ("operator", True)
    for login in (PASSWORD, "given anew"):
        body = {"name": person.name, "password": login}
        assert stack.request("POST", "/login", key=None, json=body).status_code == 401


def test_refused_logins_look_alike_and_are_limited(stack: Stack) -> None:
    person = Person(stack)
    refusals = []
    for name in (person.name, f"nobody-{secrets.token_hex(4)}"):
        body = {"name": name, "password": "a wrong one"}
        refused = [stack.request("POST", "/login", key=None, json=body) for _ in range(7)]
        assert [response.status_code for response in refused] == [401] * 5 + [429] * 2
        refusals.append({**refused[0].json(), "request_id": ""})
        assert int(refused[-1].headers["Retry-After"]) > 0
        assert refused[-1].json()["code"] == "rate_limited"
    assert refusals[0] == refusals[1]
    # Nor does the right password help while it is so.
    body = {"name": person.name, "password": PASSWORD}
    assert stack.request("POST", "/login", key=None, json=body).status_code == 429


@on_both_databases
def test_a_key_is_seen_once_and_listed_by_its_prefix(stack: Stack) -> None:
    client = f"client-{secrets.token_hex(4)}"
    key = new_key(
        stack, client=client, customers=["b", "a"], expires_in_seconds=60, requests_per_second=2.5
    )
    assert key["key"].startswith(key["prefix"])
    listed = stack.request("GET", f"/v1/api-keys?client={client}", key=stack.operator_key)
    (found,) = listed.json()["api_keys"]
    secret = key.pop("key")
    assert found == key
    assert secret not in listed.text
    assert (found["customers"], found["requests_per_second"]) == (["a", "b"], 2.5)
    assert found["expires_at"] > found["created_at"]
    for unknown in ("000000000000", "jr_", "%00", "x" * 1_000):
        absent = stack.request("DELETE", f"/v1/api-keys/{unknown}", key=stack.operator_key)
        assert absent.status_code == 404
    nul = stack.request("GET", "/v1/api-keys?client=%00", key=stack.operator_key)
    assert (nul.status_code, nul.json()["errors"][0]["path"]) == (400, "client")


@on_both_databases
def test_keys_are_listed_page_by_page_in_the_order_of_their_issue(stack: Stack) -> None:
    client = f"client-{secrets.token_hex(4)}"
    issued = [new_key(stack, client=client)["id"] for _ in range(5)]
    with stack.ledger.write() as connection:  # three that were issued in one millisecond
        connection.execute(
            update(api_key)
            .where(api_key.c.client == client, api_key.c.id.in_(issued[1:4]))
            .values(created_at_ms=1)
        )
    path = f"/v1/api-keys?client={client}"
    whole = stack.request("GET", path, key=stack.operator_key).json()
    assert whole["next_cursor"] is None
    assert [key["id"] for key in whole["api_keys"]] == [
        *sorted(issued[1:4]),
        issued[0],
        issued[4],
    ]
    paged, query = [], ""
    while query is not None:
        answer = stack.request("GET", f"{path}&limit=2{query}", key=stack.operator_key).json()
        assert len(answer["api_keys"]) <= 2
        paged += answer["api_keys"]
        cursor = answer["next_cursor"]
        query = None if cursor is None else f"&cursor={cursor}"
    assert paged == whole["api_keys"]
    for wrong in ("limit=0", "limit=1001", "cursor=1", "cursor=1_0"):
        refused = stack.request("GET", f"{path}&{wrong}", key=stack.operator_key)
        name = wrong.partition("=")[0]
        assert (refused.status_code, refused.json()["errors"][0]["path"]) == (400, name)


def test_what_is_revoked_is_refused_by_every_process_within_seconds(stack: Stack) -> None:
    """The stack has two web processes; each remembers, and neither is told."""
    disabled, changed, key = Person(stack), Person(stack), new_key(stack)
    tokens = [disabled.token, changed.token, key["key"]]
    assert answers(stack, tokens) == {200}
    people.change(stack.ledger, disabled.id, Change(disabled=True))
    people.change(stack.ledger, changed.id, Change(password_hash="another"))
    api_keys.revoke(stack.ledger, key["id"])
    eventually(lambda: answers(stack, tokens) == {401}, "everyone is refused")


def test_what_is_revoked_over_http_is_refused(stack: Stack) -> None:
    admin = stack.operator_key
    out, demoted, disabled, deleted, changed = [Person(stack) for _ in range(5)]
    key = new_key(stack)
    tokens = [person.token for person in (out, demoted, disabled, deleted, changed)]
    tokens.append(key["key"])
    assert answers(stack, tokens) == {200}
    stack.request("POST", "/logout", key=out.token)
    stack.request("PATCH", demoted.path, key=admin, json={"role": "operator"})
    stack.request("PATCH", disabled.path, key=admin, json={"disabled": True})
    stack.request("DELETE", deleted.path, key=admin)
    stack.request("PATCH", changed.path, key=admin, json={"password": "given anew"})
    stack.request("DELETE", f"/v1/api-keys/{key['id']}", key=admin)
    eventually(lambda: answers(stack, tokens) == {401}, "everyone is refused")


def answers(stack: Stack, tokens: list[str]) -> set[int]:
    """What they get, several times each, so that both processes are asked."""
    return {
        stack.request("GET", "/v1/tasks", key=token).status_code
        for token in tokens
        for _ in range(8)
    }


def test_passwords_tokens_and_keys_are_in_no_log_and_no_answer(stack: Stack) -> None:
    canary = f"canary-{secrets.token_hex(8)}"
    name = f"p-{secrets.token_hex(4)}"
    body = {"name": name, "password": canary}
    made = stack.request("POST", "/register", key=None, json=body)
    token = stack.log_in(name, canary)
    seen = [
        made,
        stack.request("GET", made.headers["Location"], key=token),
        stack.request("GET", "/user/", key=stack.operator_key),
        stack.request("POST", "/login", key=None, json={"name": canary, "password": canary}),
        stack.request("POST", "/register", key=None, json={"name": "a b", "password": canary}),
        stack.request("POST", "/login", key=None, data=f'{{"password": "{canary}"'),
        stack.request("PATCH", made.headers["Location"], key=token, json={"password": canary}),
        stack.request("GET", "/v1/jobs", key=token + "x"),
    ]
    key = new_key(stack)["key"]
    stack.request("GET", "/v1/jobs", key=key)
    logs = stack.logs()
    assert f"user {made.json()['id']} logged in" in logs
    for secret in (canary, token, token.rpartition(".")[2], key, "argon2id"):
        assert secret not in logs
        assert not any(secret in answer.text for answer in seen)
