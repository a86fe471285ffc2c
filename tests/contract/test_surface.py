"""The routes: what is served, what the document and the README say, and who is let in."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from flask import Flask
from openapi_spec_validator import OpenAPIV31SpecValidator
from sqlalchemy import update

from jobresults.accounts.api_keys import issue_key, revoke
from jobresults.accounts.grant import Grant
from jobresults.accounts.model import api_key
from jobresults.accounts.principal import Scope
from jobresults.accounts.tokens import Tokens
from jobresults.settings import AccountsSettings
from jobresults.web.app import ROUTES, install
from jobresults.web.routing import ANYONE_KNOWN, PUBLIC, Route
from tests.services.stack import PROJECT, TOKEN_SECRET, Stack

# Only leads from the root to the reference page.
NOT_OF_THE_API = {"GET /"}
UNKNOWN = "00000000-0000-7000-8000-000000000000"


def normalised(method: str, path: str) -> str:
    """`GET /v1/jobs/<job_id>` and `GET /v1/jobs/{id}` alike."""
    return f"{method.upper()} {re.sub(r'<[^>]+>|{[^}]+}', '{}', path)}"


def name_of(route: Route) -> str:
    return f"{route.method} {route.path}"


def example(route: Route) -> str:
    return re.sub(r"<[^>]+>", UNKNOWN, route.path)


PROTECTED = [route for route in ROUTES if route.scope is not PUBLIC]
DECLARED = {normalised(route.method, route.path) for route in ROUTES}


def test_each_declared_route_is_served_and_no_other() -> None:
    app = Flask("surface", static_folder=None)
    install(app, ROUTES)
    served = {
        normalised(method, rule.rule)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD"}
    }
    assert served == DECLARED


def test_the_running_service_serves_the_declared_routes(stack: Stack) -> None:
    for route in ROUTES:
        allowed = stack.request("PROPFIND", example(route)).headers["Allow"].split(", ")
        assert route.method in allowed, name_of(route)
        declared = {other.method for other in ROUTES if example(other) == example(route)}
        assert set(allowed) - {"HEAD"} == declared


def test_the_openapi_document_describes_every_route_and_no_other(stack: Stack) -> None:
    described = {
        normalised(method, path)
        for path, operations in stack.api.document["paths"].items()
        for method in operations
    }
    assert described == DECLARED - NOT_OF_THE_API


def test_the_readme_lists_every_route_and_no_other() -> None:
    readme = (PROJECT / "README.md").read_text()
    listed = {
        normalised(method, path)
        for method, path in re.findall(r"^\| `([A-Z]+) (/[^`?]*)[^`]*` \|", readme, re.MULTILINE)
    }
    assert listed == DECLARED - NOT_OF_THE_API, "README.md: the table of routes"


def test_the_document_is_valid_openapi(stack: Stack) -> None:
    errors = OpenAPIV31SpecValidator(stack.api.document).iter_errors()
    assert [str(error) for error in errors] == []


def test_operations_have_names_summaries_and_known_parameters(stack: Stack) -> None:
    operations: list[dict[str, Any]] = [
        operation
        for of_path in stack.api.document["paths"].values()
        for operation in of_path.values()
    ]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    assert all(operation["summary"] for operation in operations)


def test_every_route_declares_who_may_call_it() -> None:
    assert {route.scope for route in ROUTES} <= {*Scope, PUBLIC, ANYONE_KNOWN}
    public = {route.path for route in ROUTES if route.scope is PUBLIC}
    signed = {"/v1/silence-link"}  # the signature in the link lets its holder in
    first = {path.split("/")[1] for path in public - signed}
    assert first == {"status", "openapi.json", "docs", "register", "login", "sign-in", "webhook"}
    own = {route.path for route in ROUTES if route.scope is ANYONE_KNOWN}
    assert own == {"/logout", "/sign-out", "/v1/whoami", "/user/<user_id>"}, (
        "their views look whose it is"
    )


def test_public_routes_want_no_key(stack: Stack) -> None:
    for route in (route for route in ROUTES if route.scope is PUBLIC):
        response = stack.request(route.method, example(route), key=None)
        assert response.status_code in (200, 400, 404), name_of(route)
        assert "WWW-Authenticate" not in response.headers


def test_the_document_tells_the_scopes(stack: Stack) -> None:
    for route in ROUTES:
        path = re.sub(r"<(?:path:)?(\w+)>", r"{\1}", route.path)
        security = stack.api.document["paths"][path][route.method.lower()]["security"]
        scopes = [] if route.scope is ANYONE_KNOWN else [str(route.scope)]
        assert security == ([] if route.scope is PUBLIC else [{"apiKey": scopes}])


def no_credentials(stack: Stack) -> list[str]:
    key = stack.new_key("acme", *Scope)
    return ["", "Bearer", "Bearer ", f"Basic {key}", key]


def garbage(stack: Stack) -> list[str]:
    key = stack.new_key("acme", *Scope)
    return ["Bearer x", "Bearer jr_", f"Bearer {key[:-1]}", f"Bearer {key}x", "Bearer a.b.c"]


def expired(stack: Stack) -> list[str]:
    key, issued = issue_key(stack.ledger, Grant("acme", lifetime_seconds=60))
    with stack.ledger.write() as connection:
        past = update(api_key).where(api_key.c.id == issued.id).values(expires_at_ms=1)
        connection.execute(past)
    return [f"Bearer {key}", f"Bearer {token(exp=int(time.time()) - 60)}"]


def revoked(stack: Stack) -> list[str]:
    key, issued = issue_key(stack.ledger, Grant("acme"))
    revoke(stack.ledger, issued.id)
    return [f"Bearer {key}"]


def forged(_stack: Stack) -> list[str]:
    return [f"Bearer {token(secret='x' * 32)}", f"Bearer {token(sub='999999999')}"]


def token(secret: str = TOKEN_SECRET, **claims: Any) -> str:
    """A token as the service signs them, but for what is given."""
    genuine = Tokens(
        AccountsSettings.model_validate({"token_keys": [{"id": "tests", "secret": secret}]})
    )
    if not claims:
        return genuine.issue(1, 0).text
    said = jwt.decode(genuine.issue(1, 0).text, options={"verify_signature": False})
    return jwt.encode({**said, **claims}, secret, "HS256", headers={"kid": "tests"})


@pytest.mark.parametrize("kind", [no_credentials, garbage, expired, revoked, forged])
def test_no_protected_route_lets_in(stack: Stack, kind: Callable[[Stack], list[str]]) -> None:
    for place, header in enumerate(kind(stack)):
        for route in PROTECTED if place == 0 else PROTECTED[:1]:
            response = stack.request(
                route.method, example(route), key=None, headers={"Authorization": header}
            )
            assert response.status_code == 401, f"{name_of(route)}: {header}"
            assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_every_protected_route_wants_its_scope_and_no_other(stack: Stack) -> None:
    keys = {scope: stack.new_key("acme", scope) for scope in Scope}
    all_but = {scope: stack.new_key("acme", *(set(Scope) - {scope})) for scope in Scope}
    for route in PROTECTED:
        if route.scope is ANYONE_KNOWN:
            continue
        scope = Scope(str(route.scope))
        refused = stack.request(route.method, example(route), key=all_but[scope])
        assert refused.status_code == 403, name_of(route)
        assert refused.json()["code"] == "forbidden"
        assert repr(scope.value) in refused.json()["detail"]
        let_in = stack.request(route.method, example(route), key=keys[scope])
        assert let_in.status_code in (200, 400, 404), name_of(route)
