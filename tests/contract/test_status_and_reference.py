"""The routes that need no key, and `GET /v1/tasks`."""

from __future__ import annotations

import re
from importlib.metadata import version

import pytest
import requests

from tests.services.process import eventually
from tests.services.stack import Stack
from tests.support import sample_tasks


@pytest.mark.parametrize("path", ["/status", "/status/live", "/status/ready"])
def test_a_process_tells_how_it_is(stack: Stack, path: str) -> None:
    def counted() -> requests.Response | None:
        response = stack.request("GET", path, key=None)
        workers = response.json()["workers"]
        return response if workers == {"default": 2, "unserved": 0} else None

    response = eventually(counted, "the workers are counted")
    assert response.status_code == 200
    status = response.json()
    assert status.pop("checked_seconds_ago") >= 0
    assert status == {
        "success": "OK",
        "ready": True,
        "version": version("jobresults"),
        "draining": False,
        "ledger": "ok",
        "redis": "ok",
        "workers": {"default": 2, "unserved": 0},
    }


def test_tasks_are_listed_with_what_they_take_and_return(stack: Stack) -> None:
    response = stack.request("GET", "/v1/tasks")

    assert response.status_code == 200
    tasks = {task["name"]: task for task in response.json()["tasks"]}
    assert {"score", "echo", "short_lived", "unserved"} <= set(tasks)
    typed = tasks["typed"]
    assert typed["doc"] == sample_tasks.typed.__doc__
    assert (typed["queue"], typed["timeout_seconds"], typed["max_attempts"]) == ("default", 300, 3)
    assert typed["result_ttl_seconds"] == 7 * 86_400
    assert set(typed["params_schema"]["properties"]) == {"items", "ratio"}
    assert typed["params_schema"]["required"] == ["items", "ratio"]
    assert typed["result_schema"]["type"] == "array"
    assert tasks["short_lived"]["result_ttl_seconds"] == 1
    assert tasks["unserved"]["queue"] == "unserved"
    assert (tasks["never_ends"]["timeout_seconds"], tasks["fails"]["max_attempts"]) == (0.3, 2)


def test_the_reference_page_needs_nothing_from_elsewhere(stack: Stack) -> None:
    page = stack.request("GET", "/docs", key=None)
    assert page.headers["Content-Type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["Content-Security-Policy"]

    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert len([link for link in links if link.startswith("/docs/")]) >= 3
    for link in links:
        if not link.startswith("data:"):
            asset = stack.request("GET", link, key=None)
            assert asset.status_code == 200
            assert asset.content


def test_the_root_leads_to_the_reference(stack: Stack) -> None:
    response = stack.request("GET", "/", key=None)
    assert (response.status_code, response.headers["Location"]) == (302, "/docs")
