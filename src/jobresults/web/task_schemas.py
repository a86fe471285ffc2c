"""What this installation's tasks and limits add to the schemas of the API."""

from __future__ import annotations

from typing import Any

from jobresults.jobs.catalog import Catalog, Task
from jobresults.settings import Settings
from jobresults.web.examples import example_of

_LOCAL = "#/$defs/"
_COMPONENTS = "#/components/schemas/"


def add_tasks(schemas: dict[str, Any], settings: Settings, catalog: Catalog) -> None:
    """Add the parameters of each task, and say in the bodies that submit a job what is valid."""
    for task in catalog:
        _hoist(schemas, task)
    ingest = catalog.get(settings.tasks.ingest)
    if "SubmitBody" in schemas:
        _refine_submit(schemas, settings, catalog, ingest)
    if "TaskParams" in schemas:
        schemas["TaskParams"] = _described(schemas["TaskParams"], schemas[_name(ingest)])
    if "DeviceSmsBody" in schemas:
        _refine_device_sms(schemas["DeviceSmsBody"], schemas[_name(ingest)])


def _name(task: Task) -> str:
    return f"{task.name}.params"


def _hoist(schemas: dict[str, Any], task: Task) -> None:
    """The task's own definitions become components, as references are resolved there."""
    prefix = f"{_COMPONENTS}{_name(task)}."
    whole = _moved(task.params_schema, prefix)
    for name, schema in whole.pop("$defs", {}).items():
        schemas[f"{_name(task)}.{name}"] = schema
    schemas[_name(task)] = whole


def _moved(node: Any, prefix: str) -> Any:
    if isinstance(node, dict):
        return {name: _moved(value, prefix) for name, value in node.items()}
    if isinstance(node, list):
        return [_moved(value, prefix) for value in node]
    if isinstance(node, str) and node.startswith(_LOCAL):
        return prefix + node.removeprefix(_LOCAL)
    return node


def _refine_submit(
    schemas: dict[str, Any], settings: Settings, catalog: Catalog, ingest: Task
) -> None:
    body, limits = schemas["SubmitBody"], settings.jobs
    fields = body["properties"]
    fields["task"]["enum"] = [task.name for task in catalog]
    _not_null(fields["queue"])["enum"] = sorted(catalog.queues)
    _not_null(fields["delay_seconds"])["maximum"] = limits.max_delay_seconds
    _not_null(fields["max_attempts"])["maximum"] = limits.max_attempts_limit
    _not_null(fields["timeout_seconds"])["maximum"] = limits.max_timeout_seconds
    body["allOf"] = [_of_task(task) for task in catalog]
    body["not"] = {
        "required": ["delay_seconds", "run_at"],
        "properties": {"delay_seconds": {"type": "number"}, "run_at": {"type": "string"}},
    }
    params = example_of(schemas[_name(ingest)], schemas)
    body["examples"] = [{"task": ingest.name, "params": params, "customer": "ann"}]


def _of_task(task: Task) -> dict[str, Any]:
    then: dict[str, Any] = {"properties": {"params": {"$ref": _COMPONENTS + _name(task)}}}
    if task.params_schema.get("required"):
        then["required"] = ["params"]
    return {"if": {"properties": {"task": {"const": task.name}}}, "then": then}


def _refine_device_sms(body: dict[str, Any], params: dict[str, Any]) -> None:
    """The customer's name and the parameters stand side by side in it."""
    own = {name: body["properties"][name] for name in body["required"]}
    body["properties"] = {**params.get("properties", {}), **own}
    body["required"] = sorted({*params.get("required", ()), *own})
    body["additionalProperties"] = params.get("additionalProperties", True)


def _described(body: dict[str, Any], params: dict[str, Any]) -> dict[str, Any]:
    return {**params, "title": body["title"], "description": body["description"]}


def _not_null(field: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(kind for kind in field["anyOf"] if kind != {"type": "null"})
    return found
