"""Reading a task's JSON Schemas: which types of JSON a value may have, and how to say so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]

ANY_TYPE = frozenset({"string", "integer", "number", "boolean", "null", "array", "object"})
_DEEPEST = 4  # types may contain themselves
_BOUNDS = {
    "minimum": ">=",
    "exclusiveMinimum": ">",
    "maximum": "<=",
    "exclusiveMaximum": "<",
}


def resolved(schema: Schema, root: Schema) -> Schema:
    """The schema itself, where it only refers to another within `root`."""
    while "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    return schema


def types_of(schema: Schema, root: Schema) -> frozenset[str]:
    """The types of JSON that the schema allows."""
    schema = resolved(schema, root)
    if "type" in schema:
        kinds = schema["type"]
        return frozenset([kinds] if isinstance(kinds, str) else kinds)
    if "enum" in schema:
        return frozenset(map(type_of, schema["enum"]))
    if "const" in schema:
        return frozenset({type_of(schema["const"])})
    if alternatives := _alternatives(schema):
        return frozenset().union(*(types_of(one, root) for one in alternatives))
    return ANY_TYPE


def type_of(value: object) -> str:
    """The type of JSON that a value has."""
    if value is None:
        return "null"
    kinds = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array"}
    return kinds.get(type(value), "object")


def allows(types: frozenset[str], value: object) -> bool:
    """Whether a value is of one of the types; as JSON Schema has it, 1 is a number and 1.0 an
    integer.
    """
    kind = type_of(value)
    if kind == "integer":
        return not types.isdisjoint({"integer", "number"})
    if isinstance(value, float) and value.is_integer():
        return not types.isdisjoint({"integer", "number"})
    return kind in types


def described(schema: Schema, root: Schema, *, depth: int = 0) -> str:
    """The schema in words: `integer >= 0`, `list of Item`, `one of "a", "b"`, `string or null`."""
    schema = resolved(schema, root)
    if depth > _DEEPEST:
        return "…"
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        one_of = "one of " if len(values) > 1 else ""
        return one_of + ", ".join(f'"{v}"' if isinstance(v, str) else str(v) for v in values)
    if alternatives := _alternatives(schema):
        return " or ".join(described(one, root, depth=depth + 1) for one in alternatives)
    kinds = types_of(schema, root)
    if kinds == ANY_TYPE:
        return "any JSON"
    if len(kinds) > 1:
        return " or ".join(sorted(kinds))
    (kind,) = kinds
    return _described_as(kind, schema, root, depth)


def _described_as(kind: str, schema: Schema, root: Schema, depth: int) -> str:
    if kind == "array":
        items = schema.get("items")
        return f"list of {described(items, root, depth=depth + 1)}" if items else "list"
    if kind == "object":
        values = schema.get("additionalProperties")
        if "properties" not in schema and isinstance(values, Mapping):
            return f"object of {described(values, root, depth=depth + 1)}"
        return str(schema.get("title", "object"))
    if kind == "string":
        return str(schema.get("format", "string"))
    bounds = [f"{sign} {schema[name]}" for name, sign in _BOUNDS.items() if name in schema]
    return f"{kind} {' and '.join(bounds)}" if bounds else kind


def _alternatives(schema: Schema) -> list[Schema]:
    for name in ("anyOf", "oneOf", "allOf"):
        if name in schema:
            return list(schema[name])
    return []
