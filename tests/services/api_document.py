"""Answers held against the service's own OpenAPI document."""

from __future__ import annotations

import copy
import json
import re
from functools import cache
from typing import Any, NoReturn

import requests
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]

_PROBLEM = "application/problem+json"
_NO_BODY = {204, 303, 304}
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class ApiDocument:
    """What the service says it answers."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self._components = {"schemas": copy.deepcopy(document["components"]["schemas"])}
        for schema in self._components["schemas"].values():
            _close(schema)
        self._operations: list[tuple[re.Pattern[str], str, dict[str, Any]]] = [
            (re.compile(_pattern(path)), method, operation)
            for path, operations in document["paths"].items()
            for method, operation in operations.items()
        ]
        self._validator = cache(self._new_validator)

    def check(self, response: requests.Response) -> None:
        """Raises AssertionError if the answer is not one the document announces."""
        assert re.fullmatch(r"[A-Za-z0-9._:-]{1,100}", response.headers["X-Request-ID"])
        assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-0[0-3]", response.headers["traceparent"])
        _check_security_headers(response)
        retry_after = response.headers.get("Retry-After", "1")
        assert re.fullmatch(r"\d+", retry_after), retry_after
        # Who has used up their attempts waits for the end of the window.
        assert 1 <= int(retry_after) <= (3_600 if response.status_code == 429 else 30)
        if response.headers.get("Content-Type") == _PROBLEM:
            check_problem(response)
        elif response.status_code not in _NO_BODY:
            assert response.status_code < 400 or response.status_code == 503
        operation = self._operation(response)
        if operation is None:
            assert response.status_code in (302, 404, 405), "a path that is not in the document"
            return
        where = f"{response.request.method} {response.url}: {response.status_code}"
        answer = operation["responses"].get(str(response.status_code))
        assert answer is not None, f"{where} is not in the document: {response.text[:500]}"
        if response.status_code in _NO_BODY:
            assert "content" not in answer
            assert not response.content
            return
        self._check_body(response, answer["content"], where)

    def _check_body(
        self, response: requests.Response, contents: dict[str, Any], where: str
    ) -> None:
        kind = response.headers["Content-Type"].partition(";")[0]
        content = contents.get(kind) or contents.get("*/*")
        assert content is not None, f"{where}: {kind} is not in the document"
        if kind in ("application/json", _PROBLEM) and content["schema"]:
            body = json.loads(response.content, parse_constant=_refuse)
            errors = self._validator(json.dumps(content["schema"])).iter_errors(body)
            problems = [f"{error.json_path}: {error.message}" for error in errors]
            assert not problems, f"{where}: {problems}"

    def _operation(self, response: requests.Response) -> dict[str, Any] | None:
        path = response.request.path_url.partition("?")[0]
        method = (response.request.method or "").lower()
        for pattern, of_method, operation in self._operations:
            if of_method == method and pattern.fullmatch(path):
                return operation
        return None

    def _new_validator(self, schema: str) -> Draft202012Validator:
        whole = {**json.loads(schema), "components": self._components}
        return Draft202012Validator(whole, format_checker=FormatChecker())


def _check_security_headers(response: requests.Response) -> None:
    headers = response.headers
    if headers.get("Content-Type", "").startswith("text/html"):
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    else:
        assert SECURITY_HEADERS["Content-Security-Policy"] == headers["Content-Security-Policy"]
    assert SECURITY_HEADERS["X-Content-Type-Options"] == headers["X-Content-Type-Options"]
    assert SECURITY_HEADERS["Referrer-Policy"] == headers["Referrer-Policy"]
    assert not re.search(r"\d", headers.get("Server", "")), (
        "the server's version is nobody's concern"
    )


def check_problem(response: requests.Response) -> None:
    """RFC 9457, in the one shape that all problems have here."""
    problem = response.json()
    assert problem["status"] == response.status_code
    assert problem["type"] == f"urn:jobresults:problem:{problem['code']}"
    assert problem["error"] == problem["detail"] != ""
    assert problem["title"]
    assert problem["request_id"] == response.headers["X-Request-ID"]
    seen = str({name: value for name, value in problem.items() if name != "job_error"})
    assert not re.search(r"Traceback|File \"|SELECT |INSERT |BEGIN", seen)


def check_unavailable(response: requests.Response) -> None:
    """The one answer while the ledger does not answer: ask again soon; nothing was accepted."""
    assert response.status_code == 503
    assert response.json()["code"] == "ledger_unavailable"
    assert int(response.headers["Retry-After"]) >= 1
    assert response.headers["Cache-Control"] == "no-store"
    assert "job_id" not in response.text


def _pattern(template: str) -> str:
    """A path of the document as a regular expression. Only an asset's name may hold slashes."""
    return re.sub(r"\{(\w+)\}", lambda name: ".+" if name[1] == "asset" else "[^/]+", template)


def _close(schema: dict[str, Any]) -> None:
    """An answer has no members that the document does not name."""
    if "properties" in schema:
        schema.setdefault("additionalProperties", False)


def _refuse(constant: str) -> NoReturn:
    raise AssertionError(f"{constant} is not JSON")
