"""The routes: what is served, what the document and the README say, and who is let in."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask
from openapi_spec_validator import OpenAPIV31SpecValidator

from jobresults.accounts.api_keys import Scope
from jobresults.web.app import ROUTES, install
from jobresults.web.routing import PUBLIC, Route
from tests.services.stack import PROJECT, Stack

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
        allowed = stack.request("PATCH", example(route)).headers["Allow"].split(", ")
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


protected = pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.scope is not PUBLIC], ids=name_of
)


@protected
def test_a_protected_route_wants_a_key(stack: Stack, route: Route) -> None:
    response = stack.request(route.method, example(route), key=None)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer")
    document = stack.api.document["paths"][re.sub(r"<(?:path:)?(\w+)>", r"{\1}", route.path)]
    assert document[route.method.lower()]["security"] == [{"apiKey": [str(route.scope)]}]


@protected
def test_a_protected_route_wants_its_scope(stack: Stack, route: Route) -> None:
    others = {Scope.SUBMIT, Scope.READ, Scope.CANCEL} - {route.scope}
    response = stack.request(route.method, example(route), key=key_with(stack, *sorted(others)))
    assert response.status_code == 403
    assert response.json()["code"] == "forbidden"
    assert str(route.scope) in response.json()["detail"]


@protected
def test_the_routes_scope_is_enough(stack: Stack, route: Route) -> None:
    assert route.scope is not None
    response = stack.request(route.method, example(route), key=key_with(stack, route.scope))
    assert response.status_code in (200, 400, 404)


@pytest.mark.parametrize("route", [route for route in ROUTES if route.scope is PUBLIC], ids=name_of)
def test_a_public_route_wants_no_key(stack: Stack, route: Route) -> None:
    response = stack.request(route.method, example(route), key=None)
    assert response.status_code in (200, 404)
    assert "WWW-Authenticate" not in response.headers


def test_only_probes_the_reference_and_signed_webhooks_are_public() -> None:
    public = {route.path.split("/")[1] for route in ROUTES if route.scope is PUBLIC}
    assert public == {"status", "openapi.json", "docs", "webhook"}


def key_with(stack: Stack, *scopes: Scope) -> str:
    return stack.new_key("acme", *scopes)
