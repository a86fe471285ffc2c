"""Strings that name code name code that exists."""

from __future__ import annotations

import ast
import importlib.util
import pkgutil
import re
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import jobresults
from jobresults.jobs.catalog import load_catalog
from jobresults.settings import TasksSettings

PROJECT = Path(__file__).parents[2]
SOURCES = [*sorted((PROJECT / "src").rglob("*.py")), *sorted(PROJECT.glob("*.py"))]
NAME = re.compile(r"(jobresults|dictconfig_logging|wsgi_app)(\.\w+)*[.:]\w+")
# These do what they are for when they are imported.
PROGRAMS = {"jobresults.web.pywsgi_server", "wsgi_app:app"}


def names() -> Iterator[str]:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield from [node.value] if NAME.fullmatch(node.value) else []


def test_names_are_found_at_all() -> None:
    assert "jobresults.telemetry.log_formats.JsonFormatter" in set(names())
    assert set(names()) >= PROGRAMS


@pytest.mark.parametrize("name", sorted(set(names()) - PROGRAMS))
def test_it_names_something(name: str) -> None:
    assert pkgutil.resolve_name(name) is not None


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_it_names_a_program(name: str) -> None:
    assert importlib.util.find_spec(name.partition(":")[0]) is not None


def test_every_public_name_is_there() -> None:
    assert sorted(jobresults._HOMES) == jobresults.__all__
    for name, home in jobresults._HOMES.items():
        assert getattr(jobresults, name) is getattr(import_module(home), name)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        jobresults.nothing  # noqa: B018


def test_every_script_of_the_package_is_there() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    for name in project["scripts"].values():
        assert callable(pkgutil.resolve_name(name))


def test_the_tasks_that_the_routes_run_are_there() -> None:
    settings = TasksSettings()
    catalog = load_catalog(settings.modules)
    assert settings.ingest in catalog
    assert settings.score in catalog
