"""The API's own description: `/openapi.json` (OpenAPI 3.1), made from the routes and the tasks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import Any

from flask import Response, current_app, jsonify
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from jobresults.jobs.catalog import Catalog
from jobresults.settings import Settings
from jobresults.web.bodies import ProblemBody
from jobresults.web.examples import example_of
from jobresults.web.operation_links import links_from
from jobresults.web.reference_parameters import HEADERS, PARAMETERS, PATH
from jobresults.web.routing import ANYONE_KNOWN, PUBLIC, Access, Answer, Route, phrase
from jobresults.web.task_schemas import add_tasks

_REF = "#/components/schemas/{model}"
_VARIABLE = re.compile(r"<(?:path:)?(\w+)>")


def openapi_json() -> Response:
    """Describe this API as OpenAPI 3.1."""
    return jsonify(current_app.extensions["openapi"]())


def document(routes: Iterable[Route], settings: Settings, catalog: Catalog) -> dict[str, Any]:
    """The OpenAPI document of these routes; what they take depends on the tasks and the limits."""
    routes = tuple(routes)
    schemas = _schemas(routes)
    add_tasks(schemas, settings, catalog)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        operations = paths.setdefault(_VARIABLE.sub(r"{\1}", route.path), {})
        operations[route.method.lower()] = _operation(route, routes, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "jobresults",
            "version": version("jobresults"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Hand in work, get a job id, come back for the result. "
            f"Waits are capped at {settings.web.wait_cap_seconds:g} s, "
            f"bodies at {settings.web.max_body_bytes} bytes. JSON is read strictly: no duplicate "
            "keys, no NUL, no NaN. What is not well-formed HTTP is a problem, too: 400, 414 (long "
            "target), 417, 431 (headers), 501 (transfer coding).",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "apiKey": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key, or a token of POST /login",
                }
            },
        },
    }


def _schemas(routes: Iterable[Route]) -> dict[str, Any]:
    bodies = {model for route in routes for model in (route.body, route.query) if model is not None}
    answers = {
        answer.model
        for route in routes
        for answer in route.answers.values()
        if answer.model is not None
    }
    _, definitions = models_json_schema(
        [
            *((model, "validation") for model in sorted(bodies, key=lambda model: model.__name__)),
            *(
                (model, "serialization")
                for model in sorted(answers | {ProblemBody}, key=lambda model: model.__name__)
            ),
        ],
        ref_template=_REF,
    )
    schemas: dict[str, Any] = definitions["$defs"]
    return schemas


def _operation(route: Route, routes: Iterable[Route], schemas: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.operation_id,
        "summary": route.summary,
        "tags": [route.tag],
        "security": _security(route.scope),
        "parameters": _parameters(route),
        "responses": {
            **{
                str(status): _answer(answer, links_from(route, answer, routes), schemas)
                for status, answer in route.answers.items()
            },
            **{
                str(status): _problem(status, route)
                for status in route.all_problems
                if status not in route.answers
            },
        },
    }
    if route.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {route.body_type: _media(_ref(route.body), schemas)},
        }
    return operation


def _security(access: Access) -> list[dict[str, list[str]]]:
    if access is PUBLIC:
        return []
    return [{"apiKey": [] if access is ANYONE_KNOWN else [str(access)]}]


def _parameters(route: Route) -> list[dict[str, Any]]:
    text = {"type": "string"}
    return [
        *(
            {"name": name, "in": "path", "required": True, "schema": PATH.get(name, text)}
            for name in _VARIABLE.findall(route.path)
        ),
        *({"name": name, **PARAMETERS[name]} for name in route.parameters),
        *_query_parameters(route.query),
    ]


def _query_parameters(model: type[BaseModel] | None) -> Iterable[dict[str, Any]]:
    if model is None:
        return
    schema = model.model_json_schema(ref_template=_REF)
    for name, field in schema["properties"].items():
        yield {
            "name": name,
            "in": "query",
            "schema": _never_null(field),
            "required": name in schema.get("required", ()),
        }


def _never_null(field: dict[str, Any]) -> dict[str, Any]:
    """A query string has no null: a parameter is there or not."""
    kinds = [kind for kind in field.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) != 1:
        return field
    rest = {name: value for name, value in field.items() if name not in ("anyOf", "default")}
    return {**rest, **kinds[0]}


def _answer(answer: Answer, links: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": answer.description,
        "headers": _headers(("X-Request-ID", "traceparent", *answer.headers)),
    }
    if links:
        described["links"] = links
    if answer.content_type is not None:
        schema = answer.schema if answer.model is None else _ref(answer.model)
        described["content"] = {answer.content_type: _media(schema, schemas)}
        for kind in answer.also_as:
            described["content"][kind] = {"schema": {"type": "string"}}
    return described


def _media(schema: Mapping[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    return {"schema": schema, "example": example_of(schema, schemas)}


def _problem(status: int, route: Route) -> dict[str, Any]:
    names = {401: ("WWW-Authenticate",), 503: ("Retry-After",)}.get(status, ())
    example = {
        "type": "urn:jobresults:problem:…",
        "title": phrase(status),
        "status": status,
        "detail": "What is wrong, and what helps",
        "instance": route.path,
        "code": "…",
        "request_id": "019a000000007000800000000000000a",
        "error": "What is wrong, and what helps",
    }
    return {
        "description": phrase(status),
        "headers": _headers(("X-Request-ID", "traceparent", *names)),
        "content": {"application/problem+json": {"schema": _ref(ProblemBody), "example": example}},
    }


def _headers(names: Iterable[str]) -> dict[str, Any]:
    return {
        name: {"description": HEADERS[name][0], "required": True, "schema": HEADERS[name][1]}
        for name in names
    }


def _ref(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": _REF.format(model=model.__name__)}
