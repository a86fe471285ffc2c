"""Query strings that two readers could understand differently are refused."""

from __future__ import annotations

from collections.abc import Container

from flask import request

from jobresults.errors import InvalidRequest


def refuse_repeated(once: Container[str]) -> None:
    """Refuse the running request if it gives one of these parameters twice.

    Raises:
        InvalidRequest: names each such parameter.
    """
    if not request.query_string:
        return
    message = "is given more than once; give it once"
    problems = [
        {"path": name, "message": message}
        for name, values in request.args.lists()
        if len(values) > 1 and name in once
    ]
    if problems:
        raise InvalidRequest(f"{problems[0]['path']}: {message}", problems)
