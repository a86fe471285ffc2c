"""The tasks this installation knows: the `@task` decorator, and the catalog loaded from configured
modules.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import json
import re
import typing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    PydanticUserError,
    RootModel,
    ValidationError,
    create_model,
)
from pydantic_core import PydanticSerializationError

from jobresults.errors import CatalogError, InvalidRequest, UnknownTask

Function = TypeVar("Function", bound=Callable[..., Any])

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_MARK = "__jobresults_task__"


@dataclass(frozen=True)
class TaskOptions:
    """What `@task` was given; None means the configured default."""

    name: str
    queue: str
    timeout_seconds: float | None
    max_attempts: int
    result_ttl_seconds: int | None


class ResultError(Exception):
    """A task's return value is not what it declared, or not JSON."""


class Task:
    """A registered task: its function, its options, and the models of its parameters and result."""

    def __init__(self, function: Callable[..., Any], options: TaskOptions) -> None:
        self.function = function
        self.options = options
        self.params_model, self._result_model = _models(function, options.name)

    @property
    def name(self) -> str:
        return self.options.name

    @property
    def doc(self) -> str:
        return inspect.getdoc(self.function) or ""

    @cached_property
    def params_schema(self) -> dict[str, Any]:
        """JSON Schema (2020-12) of the parameters."""
        return self.params_model.model_json_schema()

    @cached_property
    def result_schema(self) -> dict[str, Any]:
        """JSON Schema (2020-12) of the result."""
        return self._result_model.model_json_schema(mode="serialization")

    def validate(self, params_json: bytes) -> BaseModel:
        """The parameters, a JSON document, as a model.

        Raises:
            InvalidRequest: lists every problem with its path from `params`.
        """
        try:
            return self.params_model.model_validate_json(params_json)
        except ValidationError as error:
            problems = [
                {"path": _path(("params", *problem["loc"])), "message": problem["msg"]}
                for problem in error.errors(
                    include_url=False, include_context=False, include_input=False
                )
            ]
            raise InvalidRequest(
                f"params of task {self.name!r} are invalid: "
                f"{problems[0]['path']}: {problems[0]['message']}"
                + (f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""),
                problems,
            ) from error

    def call(self, params_json: bytes) -> Any:
        """Run the function on parameters as stored."""
        model = self.validate(params_json)
        return self.function(**{name: getattr(model, name) for name in type(model).model_fields})

    def encode_result(self, value: Any) -> bytes:
        """The result as JSON bytes, as callers will read them.

        Raises:
            ResultError: not the declared type, or without a JSON form (NaN, infinity, lone
                surrogates included).
        """
        try:
            plain = self._result_model.model_construct(value).model_dump(
                mode="json", warnings="error"
            )
            return json.dumps(
                plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")
            ).encode()
        except (PydanticSerializationError, TypeError, ValueError, RecursionError) as error:
            raise ResultError(
                f"task {self.name!r} returned {type(value).__name__}: {error}"[:1000]
            ) from error


class Catalog:
    """All tasks by name."""

    def __init__(self, tasks: Iterable[Task]) -> None:
        self._tasks: dict[str, Task] = {}
        for item in tasks:
            twin = self._tasks.get(item.name)
            if twin and twin.function is not item.function:
                raise CatalogError(
                    f"tasks.modules: two tasks are named {item.name!r}: "
                    f"{_where(twin.function)} and "
                    f"{_where(item.function)}; rename one"
                )
            self._tasks[item.name] = item

    def __iter__(self) -> Iterator[Task]:
        return iter(self._tasks.values())

    def __contains__(self, name: str) -> bool:
        return name in self._tasks

    def get(self, name: str) -> Task:
        """The task of that name.

        Raises:
            UnknownTask: names the nearest.
        """
        try:
            return self._tasks[name]
        except KeyError:
            near = difflib.get_close_matches(name, self._tasks, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}?" if near else "GET /v1/tasks lists them"
            raise UnknownTask(f"no task is named {name!r}; {hint}") from None

    @property
    def queues(self) -> set[str]:
        return {item.options.queue for item in self}


def task(
    *,
    name: str,
    queue: str = "default",
    timeout_seconds: float | None = None,
    max_attempts: int = 3,
    result_ttl_seconds: int | None = None,
) -> Callable[[Function], Function]:
    """Make a typed function a task. The function itself stays as it is and can be called and
    tested.

    Args:
        name: what callers submit; unique in the installation.
        queue: where its jobs wait.
        timeout_seconds: after this one attempt is stopped; None means `jobs.timeout_seconds`.
        max_attempts: how often a job may start at most; `PermanentError` ends it earlier.
        result_ttl_seconds: how long the result is kept; None means `jobs.result_ttl_seconds`.

    Raises:
        CatalogError: an option is out of its range.
    """
    options = TaskOptions(name, queue, timeout_seconds, max_attempts, result_ttl_seconds)
    for label, text in (("name", name), ("queue", queue)):
        if not _NAME.fullmatch(text):
            raise CatalogError(
                f"@task: {label}={text!r} must be 1-100 letters, digits, '_', '.' or '-'"
            )
    for label, number in (
        ("max_attempts", max_attempts),
        ("timeout_seconds", timeout_seconds),
        ("result_ttl_seconds", result_ttl_seconds),
    ):
        if number is not None and number <= 0:
            raise CatalogError(f"@task {name!r}: {label}={number!r} must be above 0")

    def mark(function: Function) -> Function:
        setattr(function, _MARK, options)
        return function

    return mark


def load_catalog(modules: Iterable[str]) -> Catalog:
    """Import the modules and collect the tasks they define or import.

    Raises:
        CatalogError: names the module that cannot be imported, the function that is not typed, or
            the name that two tasks share.
    """
    return Catalog(item for module in modules for item in _tasks_of(module))


def _tasks_of(module_name: str) -> Iterator[Task]:
    try:
        module = importlib.import_module(module_name)
    except CatalogError:
        raise
    except Exception as error:
        raise CatalogError(
            f"tasks.modules: cannot import {module_name!r}: {type(error).__name__}: {error}; "
            "is it installed or on PYTHONPATH?"
        ) from error
    found = [
        value
        for value in vars(module).values()
        if isinstance(getattr(value, _MARK, None), TaskOptions)
    ]
    if not found:
        raise CatalogError(f"tasks.modules: {module_name!r} defines no @task")
    for function in found:
        yield Task(function, getattr(function, _MARK))


def _models(
    function: Callable[..., Any], name: str
) -> tuple[type[BaseModel], type[RootModel[Any]]]:
    where = f"task {name!r} ({_where(function)})"
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise CatalogError(f"{where}: {error}; its annotations must be importable") from error
    if "return" not in hints:
        raise CatalogError(f"{where}: annotate what it returns (-> None if nothing)")
    fields: dict[str, Any] = {}
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise CatalogError(f"{where}: parameter {parameter.name!r} must be a plain named one")
        if parameter.name not in hints:
            raise CatalogError(f"{where}: annotate parameter {parameter.name!r}")
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (hints[parameter.name], default)
    try:
        params = create_model(f"{name}_params", __config__=ConfigDict(extra="forbid"), **fields)
        returned = hints["return"]

        class Result(RootModel[returned]):  # type: ignore[valid-type]
            # By default pydantic writes NaN as null: a wrong answer instead of a failed job.
            model_config = ConfigDict(ser_json_inf_nan="constants", title=f"{name}_result")

        return params, Result
    except PydanticUserError as error:
        raise CatalogError(f"{where}: {error.message}") from error


def _where(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def _path(parts: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(
        "."
    )
