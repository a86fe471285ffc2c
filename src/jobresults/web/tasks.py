"""`GET /v1/tasks`: what can be submitted, with the schemas of parameters and results."""

from __future__ import annotations

from flask import Response, jsonify

from jobresults.web.services import services


def list_tasks() -> Response:
    """List the registered tasks with their JSON Schemas."""
    defaults = services().settings.jobs
    return jsonify(
        tasks=[
            {
                "name": task.name,
                "doc": task.doc,
                "queue": task.options.queue,
                "timeout_seconds": task.options.timeout_seconds or defaults.timeout_seconds,
                "max_attempts": task.options.max_attempts,
                "result_ttl_seconds": task.options.result_ttl_seconds
                or defaults.result_ttl_seconds,
                "params_schema": task.params_schema,
                "result_schema": task.result_schema,
            }
            for task in services().catalog
        ]
    )
