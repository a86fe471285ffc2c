"""Examples for the OpenAPI document: the schemas' own where they have one, else made from them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_OF_TYPE: dict[str, Any] = {
    "integer": 1,
    "number": 1.0,
    "boolean": True,
    "string": "text",
    "null": None,
}
_OF_FORMAT = {
    "date-time": "2026-01-31T12:00:00Z",
    "uuid": "019a0000-0000-7000-8000-000000000000",
    "uri": "https://example.com/",
    "email": "ann@example.com",
}


def example_of(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Any:
    """A value of the schema; `schemas` are those it may refer to."""
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if schema.get("examples"):
        return schema["examples"][0]
    for name in ("const", "default"):
        if schema.get(name) is not None:
            return schema[name]
    if "enum" in schema:
        return schema["enum"][0]
    for name in ("anyOf", "oneOf", "allOf"):
        if name in schema:
            return example_of(schema[name][0], schemas)
    return _of_type(schema, schemas)


def _of_type(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Any:
    kind = schema.get("type", "object")
    if kind == "array":
        return [example_of(schema["items"], schemas)] if "items" in schema else []
    if kind == "object":
        return {
            name: example_of(field, schemas)
            for name, field in schema.get("properties", {}).items()
            if name in schema.get("required", ())
        }
    if kind in ("integer", "number"):
        return schema.get("minimum", _OF_TYPE[kind])
    return _OF_FORMAT.get(schema.get("format", ""), _OF_TYPE[kind])
