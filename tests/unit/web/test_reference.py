"""The OpenAPI document of the table of routes and some tasks, without a running service."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]

from jobresults.jobs.catalog import load_catalog
from jobresults.settings import Settings
from jobresults.web import reference
from jobresults.web.app import ROUTES

MODULES = ("jobresults.tasks.score", "tests.support.sample_tasks")
DOCUMENT = reference.document(ROUTES, Settings(), load_catalog(MODULES))
OPERATIONS: dict[str, dict[str, Any]] = {
    operation["operationId"]: operation
    for of_path in DOCUMENT["paths"].values()
    for operation in of_path.values()
}
UNKNOWN = "00000000-0000-7000-8000-000000000000"


def validator(schema: dict[str, Any]) -> Any:
    whole = {**copy.deepcopy(schema), "components": DOCUMENT["components"]}
    return Draft202012Validator(whole, format_checker=FormatChecker())


def media_of(operation: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each body of an operation: where it is, its type, and how it is described."""
    bodies = {"request": operation.get("requestBody", {}), **operation["responses"]}
    for where, body in bodies.items():
        for kind, media in body.get("content", {}).items():
            yield where, kind, media


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_body_has_a_schema_and_an_example_of_it(name: str) -> None:
    for where, kind, media in media_of(OPERATIONS[name]):
        assert media["schema"], f"{name} {where} {kind}: no schema"
        if "json" in kind:
            errors = validator(media["schema"]).iter_errors(media["example"])
            found = [f"{error.json_path}: {error.message}" for error in errors]
            assert not found, f"{name} {where} {kind}: give the field `examples`: {found}"


def test_parameters_are_described_and_their_examples_are_valid() -> None:
    for name, operation in OPERATIONS.items():
        for parameter in operation["parameters"]:
            schema = parameter["schema"]
            assert schema.keys() - {"description", "title"}, f"{name} {parameter['name']}"
            for example in schema.get("examples", ()):
                assert validator(schema).is_valid(example), f"{name} {parameter['name']}"


def test_operations_say_who_may_call_them_and_how_they_refuse() -> None:
    known = DOCUMENT["components"]["securitySchemes"].keys()
    for name, operation in OPERATIONS.items():
        answers = operation["responses"]
        assert all("X-Request-ID" in answer["headers"] for answer in answers.values()), name
        if operation["security"]:
            assert {"401", "403", "503"} <= answers.keys(), name
            assert {scheme for wanted in operation["security"] for scheme in wanted} <= known
            assert "WWW-Authenticate" in answers["401"]["headers"], name
            assert "Retry-After" in answers["503"]["headers"], name
        if "requestBody" in operation:
            assert {"400", "408", "413", "415"} <= answers.keys(), name


def test_a_submission_leads_to_all_that_is_done_with_a_job() -> None:
    links = OPERATIONS["submit_job"]["responses"]["202"]["links"]
    assert links.keys() >= {"get_job", "get_result", "job_result", "cancel_job", "rerun_job"}
    assert links.keys() >= {"job_logs", "job_events"}
    assert {link["operationId"] for link in links.values()} <= OPERATIONS.keys()
    scored = OPERATIONS["add_for_customer"]["responses"]["202"]["links"]["get_score"]
    assert scored["parameters"] == {"cust_id": "$request.path.customer"}


MESSAGE = {"sender": "AX-BANK", "body": "Rs 5", "received_at": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("body", "valid"),
    [
        ({"task": "score", "params": {"messages": [MESSAGE]}}, True),
        ({"task": "echo"}, True),
        ([{"task": "echo"}], True),
        ({"task": "echo", "delay_seconds": 1, "run_at": None}, True),
        ({"task": "nope"}, False),
        ({"task": "score"}, False),
        ({"task": "score", "params": {"messages": [{**MESSAGE, "body": 3}]}}, False),
        ({"task": "typed", "params": {"items": [{"name": "a", "count": -1}], "ratio": 1}}, False),
        ({"task": "echo", "delay_seconds": 1, "run_at": "2026-01-01T00:00:00Z"}, False),
        ({"task": "echo", "max_attempts": 26}, False),
        ({"task": "echo", "queue": "nowhere"}, False),
        ([], False),
    ],
)
def test_the_body_of_a_submission_is_that_of_its_task(body: object, valid: bool) -> None:
    schema = OPERATIONS["submit_job"]["requestBody"]["content"]["application/json"]["schema"]
    assert validator(schema).is_valid(body) is valid


def test_the_document_refers_only_to_what_it_holds() -> None:
    held = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    referred = {
        text
        for text in json.dumps(DOCUMENT).split('"')
        if text.startswith("#/") and "$defs" not in text
    }
    assert referred <= held
    assert "#/$defs/" not in json.dumps(DOCUMENT)
