"""Which tasks there are, and what is refused before a worker starts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobresults.errors import CatalogError, UnknownTask
from jobresults.jobs.catalog import Catalog, TaskOptions, load_catalog, task

HEADER = "from jobresults import task\n"

Module = Callable[[str], str]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Module]:
    """Writes a user's own module somewhere on PYTHONPATH; returns its name."""
    monkeypatch.syspath_prepend(tmp_path)
    names: list[str] = []

    def write(text: str) -> str:
        names.append(f"my_tasks_{len(names)}")
        (tmp_path / f"{names[-1]}.py").write_text(HEADER + text)
        return names[-1]

    yield write
    for name in names:
        sys.modules.pop(name, None)


def refusal(*modules: str) -> str:
    with pytest.raises(CatalogError) as caught:
        load_catalog(modules)
    return caught.value.detail


def test_any_module_on_the_path_may_bring_tasks(module: Module) -> None:
    text = (
        "@task(name='double')\ndef double(number: int) -> int:\n  'Twice it.'\n  return 2 * number"
    )
    found = load_catalog([module(text)]).get("double")
    assert found.call(b'{"number": 4}') == 8
    assert found.doc == "Twice it."


def test_a_task_takes_its_options_from_the_decorator(module: Module) -> None:
    name = module(
        "@task(name='a', queue='q', timeout_seconds=1.5, max_attempts=7, result_ttl_seconds=9,"
        " isolation='process')\n"
        "def a() -> None: ...\n"
        "@task(name='b')\n"
        "def b() -> None: ..."
    )
    catalog = load_catalog([name])
    assert catalog.get("a").options == TaskOptions("a", "q", 1.5, 7, 9, "process")
    assert catalog.get("b").options == TaskOptions("b", "default", None, 3, None, "executor")
    assert catalog.queues == {"q", "default"}


def test_the_function_stays_a_function(module: Module) -> None:
    @task(name="double")
    def double(number: int) -> int:
        return 2 * number

    assert double(4) == 8


def test_a_task_may_be_imported_into_another_module(module: Module) -> None:
    first = module("@task(name='a')\ndef a() -> None: ...")
    second = module(f"from {first} import a\nagain = a")
    assert [item.name for item in load_catalog([first, second])] == ["a"]


def test_two_tasks_with_one_name_are_refused_with_both_places(module: Module) -> None:
    first = module("@task(name='a')\ndef one() -> None: ...")
    second = module("@task(name='a')\ndef two() -> None: ...")
    detail = f"two tasks are named 'a': {first}.one and {second}.two; rename one"
    assert refusal(first, second) == f"tasks.modules: {detail}"


def test_a_module_that_is_missing_is_refused() -> None:
    detail = refusal("no_such_module")
    assert detail.startswith("tasks.modules: cannot import 'no_such_module': ModuleNotFoundError")
    assert detail.endswith("is it installed or on PYTHONPATH?")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def", "SyntaxError"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import no_such_library", "No module named 'no_such_library'"),
        ("@task\ndef a() -> None: ...", "TypeError: task() takes 0 positional arguments"),
    ],
)
def test_a_module_that_fails_at_import_is_refused(module: Module, text: str, said: str) -> None:
    name = module(text)
    detail = refusal(name)
    assert detail.startswith(f"tasks.modules: cannot import {name!r}: ")
    assert said in detail


def test_a_module_without_tasks_is_refused(module: Module) -> None:
    name = module("def a() -> None: ...")
    assert refusal(name) == f"tasks.modules: {name!r} defines no @task"


def test_other_objects_of_a_module_are_left_alone(module: Module) -> None:
    name = module(
        "class Proxy:\n"
        "  def __getattr__(self, name): raise RuntimeError('outside of a request')\n"
        "proxy = Proxy()\n"
        "@task(name='a')\n"
        "def a() -> None: ..."
    )
    assert "a" in load_catalog([name])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("name=''", "name='' must be 1-100 letters, digits, '_', '.' or '-'"),
        ("name='a b'", "name='a b' must be"),
        ("name='_a'", "name='_a' must be"),
        ("name='ä'", "name='ä' must be"),
        ("name='a' * 101", "must be 1-100"),
        ("name='a', queue='a/b'", "queue='a/b' must be"),
        ("name='a', isolation='none'", "isolation='none' must be executor or process"),
        ("name='a', max_attempts=0", "max_attempts=0 must be above 0"),
        ("name='a', max_running=0", "max_running=0 must be above 0"),
        ("name='a', timeout_seconds=-1", "timeout_seconds=-1 must be above 0"),
        ("name='a', timeout_seconds=float('nan')", "timeout_seconds=nan must be above 0"),
        ("name='a', timeout_seconds=float('inf')", "timeout_seconds=inf must be above 0"),
        ("name='a', result_ttl_seconds=0", "result_ttl_seconds=0 must be above 0"),
    ],
)
def test_an_option_out_of_its_range_is_refused(module: Module, options: str, said: str) -> None:
    assert said in refusal(module(f"@task({options})\ndef a() -> None: ..."))


@pytest.mark.parametrize(
    ("signature", "said"),
    [
        ("def a(x: int): ...", "annotate what it returns (-> None if nothing)"),
        ("def a(x) -> None: ...", "annotate parameter 'x'"),
        ("def a(*x: int) -> None: ...", "parameter 'x' must be a plain named one"),
        ("def a(**x: int) -> None: ...", "parameter 'x' must be a plain named one"),
        ("def a(x: int, /) -> None: ...", "parameter 'x' must be a plain named one"),
        ("def a(x: 'Nope') -> None: ...", "name 'Nope' is not defined; its annotations must"),
        ("def a(x: 'int.nope') -> None: ...", "its annotations must be importable"),
        ("def a(x: 'list[') -> None: ...", "its annotations must be importable"),
        ("async def a() -> None: ...", "must be a plain function, not async"),
        ("def a(x: Own) -> None: ...", "Unable to generate pydantic-core schema for"),
        ("def a() -> Own: ...", "Unable to generate pydantic-core schema for"),
        ("def a(x: Unfinished) -> None: ...", "is not fully defined; you should define `Nope`"),
        ("def a() -> Unfinished: ...", "is not fully defined; you should define `Nope`"),
        ("def a(x: Callable[[], int]) -> None: ...", "Cannot generate a JsonSchema"),
    ],
)
def test_a_signature_that_callers_could_not_use_is_refused(
    module: Module, signature: str, said: str
) -> None:
    name = module(
        "from collections.abc import Callable\n"
        "from pydantic import BaseModel\n"
        "class Own: ...\n"
        "class Unfinished(BaseModel):\n"
        "  x: 'Nope'\n"
        f"@task(name='t')\n{signature}"
    )
    detail = refusal(name)
    assert detail.startswith(f"task 't' ({name}.a): ")
    assert said in detail
    assert "\n" not in detail


@pytest.mark.parametrize(
    "parameter", ["json", "schema", "copy", "model_config", "model_dump", "_x", "self", "validate"]
)
def test_a_parameter_may_have_any_name(module: Module, parameter: str) -> None:
    name = module(
        f"@task(name='a')\ndef a({parameter}: int, *, x: int = 1) -> int: return {parameter}"
    )
    found = load_catalog([name]).get("a")
    assert found.call(f'{{"{parameter}": 7}}'.encode()) == 7
    assert list(found.params_schema["properties"]) == [parameter, "x"]


def test_an_unknown_task_is_refused_with_the_nearest() -> None:
    catalog = load_catalog(["jobresults.tasks.score"])
    with pytest.raises(UnknownTask) as caught:
        catalog.get("scor")
    assert caught.value.detail == "no task is named 'scor'; did you mean 'score'?"


def test_an_unknown_task_near_to_none_is_refused_with_the_way_to_all() -> None:
    with pytest.raises(UnknownTask, match="GET /v1/tasks lists them"):
        Catalog([]).get("zzz")


def test_a_catalog_tells_what_it_holds(module: Module) -> None:
    catalog: Any = load_catalog([module("@task(name='a')\ndef a() -> None: ...")])
    assert "a" in catalog
    assert "b" not in catalog
    assert [item.name for item in catalog] == ["a"]
