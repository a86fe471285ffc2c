"""The API's own description: `/openapi.json` (OpenAPI 3.1, made from the routes) and `/docs` to
read it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from flask import Response, current_app, jsonify
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from jobresults.errors import NotFound
from jobresults.settings import Settings
from jobresults.web.bodies import ProblemBody
from jobresults.web.routing import ANYONE_KNOWN, PUBLIC, Access, Answer, Route, phrase

_REF = "#/components/schemas/{model}"
_VARIABLE = re.compile(r"<(?:path:)?(\w+)>")
_ASSETS = {
    "swagger_bundle.js": "text/javascript",
    "swagger_preset.js": "text/javascript",
    "swagger_style.css": "text/css",
    "start.js": "text/javascript",
}
_START = """window.addEventListener("load", () => SwaggerUIBundle({
  url: "/openapi.json", dom_id: "#reference", deepLinking: true, tryItOutEnabled: true,
  presets: [SwaggerUIBundle.presets.apis], validatorUrl: null,
}));
"""
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>jobresults: API reference</title>
<link rel="stylesheet" href="/docs/swagger_style.css">
<link rel="icon" href="data:,">
</head>
<body>
<div id="reference"></div>
<script src="/docs/swagger_bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
"""
_PARAMETERS: dict[str, dict[str, Any]] = {
    "job_id": {"in": "query", "required": True, "schema": {"type": "string", "format": "uuid"}},
    "cust_id": {"in": "query", "required": True, "schema": {"type": "string", "minLength": 1}},
    "wait": {
        "in": "query",
        "schema": {"type": "number", "minimum": 0},
        "description": "Wait up to so many seconds for the job to end, the cap at most",
    },
    "Prefer": {
        "in": "header",
        "schema": {"type": "string"},
        "description": "`wait=N` (RFC 7240): as `wait`",
    },
    "If-None-Match": {"in": "header", "schema": {"type": "string"}},
    "Idempotency-Key": {
        "in": "header",
        "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
        "description": "The same key and request within 24 h give the same job",
    },
    "traceparent": {
        "in": "header",
        "schema": {"type": "string"},
        "description": "W3C Trace Context",
    },
}


def openapi_json() -> Response:
    """Describe this API as OpenAPI 3.1."""
    return jsonify(current_app.extensions["openapi"]())


def docs() -> Response:
    """Show the API reference."""
    response = Response(_PAGE, mimetype="text/html")
    response.headers["Content-Security-Policy"] = (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "frame-ancestors 'none'"
    )
    return response


def asset(asset: str) -> Response:
    """Serve a file of the API reference page."""
    if asset not in _ASSETS:
        raise NotFound("no such page")
    content = _START.encode() if asset == "start.js" else (files("offapi") / asset).read_bytes()
    response = Response(content, mimetype=_ASSETS[asset])
    response.headers["Cache-Control"] = "public, max-age=86400"
    return response


def document(routes: Iterable[Route], settings: Settings) -> dict[str, Any]:
    """The OpenAPI document of these routes."""
    routes = tuple(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(_VARIABLE.sub(r"{\1}", route.path), {})[route.method.lower()] = _operation(
            route
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "jobresults",
            "version": version("jobresults"),
            "description": "Hand in work, get a job id, come back for the result. "
            f"Waits are capped at {settings.web.wait_cap_seconds:g} s, "
            f"bodies at {settings.web.max_body_bytes} bytes.",
        },
        "paths": paths,
        "components": {
            "schemas": _schemas(routes),
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


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.view.__name__ + ("_live" if route.path.endswith("/live") else ""),
        "summary": route.summary,
        "tags": [route.tag],
        "security": _security(route.scope),
        "parameters": [
            *(
                {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
                for name in _VARIABLE.findall(route.path)
            ),
            *({"name": name, **_PARAMETERS[name]} for name in route.parameters),
            *_query_parameters(route.query),
        ],
        "responses": {
            **{str(status): _answer(answer) for status, answer in route.answers.items()},
            **{
                str(status): _problem(status)
                for status in route.all_problems
                if status not in route.answers
            },
        },
    }
    if route.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": {route.body_type: {"schema": _ref(route.body)}},
        }
    return operation


def _security(access: Access) -> list[dict[str, list[str]]]:
    if access is PUBLIC:
        return []
    return [{"apiKey": [] if access is ANYONE_KNOWN else [str(access)]}]


def _query_parameters(model: type[BaseModel] | None) -> Iterable[dict[str, Any]]:
    if model is None:
        return
    schema = model.model_json_schema(ref_template=_REF)
    for name, field in schema["properties"].items():
        yield {
            "name": name,
            "in": "query",
            "schema": field,
            "required": name in schema.get("required", ()),
        }


def _answer(answer: Answer) -> dict[str, Any]:
    if answer.content_type is None:
        return {"description": answer.description}
    schema = {} if answer.model is None else _ref(answer.model)
    content: dict[str, Any] = {answer.content_type: {"schema": schema}}
    if answer.also_as is not None:
        content[answer.also_as] = {"schema": {"type": "string"}}
    return {"description": answer.description, "content": content}


def _problem(status: int) -> dict[str, Any]:
    return {
        "description": phrase(status),
        "content": {"application/problem+json": {"schema": _ref(ProblemBody)}},
    }


def _ref(model: type[BaseModel]) -> dict[str, Any]:
    return {"$ref": _REF.format(model=model.__name__)}
