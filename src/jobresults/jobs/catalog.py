"""The tasks this installation knows: the `@task` decorator, and the catalog loaded from configured
modules.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import json
import math
import re
import typing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
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

Isolation = Literal["executor", "process"]


@dataclass(frozen=True)
class TaskOptions:
    """What `@task` was given; None means the configured default."""

    name: str
    queue: str
    timeout_seconds: float | None
    max_attempts: int
    result_ttl_seconds: int | None
    isolation: Isolation
    max_running: int | None = None


class ResultError(Exception):
    """A task's return value is not what it declared, or not JSON."""


class Task:
    """A registered task: its function, its options, and what its parameters and result look like.

    The schemas are JSON Schema 2020-12.
    """

    def __init__(self, function: Callable[..., Any], options: TaskOptions) -> None:
        self.function = function
        self.options = options
        try:
            self.params_model = _params_model(function, options.name)
            self._result_model = _result_model(function, options.name)
            # At once: it also finds models that are not fully defined.
            self.params_schema = self.params_model.model_json_schema()
            self.result_schema = self._result_model.model_json_schema(mode="serialization")
        except PydanticUserError as error:
            detail = error.message.partition("\n")[0]
            raise CatalogError(f"{_named(function, options.name)}: {detail}") from error

    @property
    def name(self) -> str:
        return self.options.name

    @property
    def doc(self) -> str:
        return inspect.getdoc(self.function) or ""

    def validate(self, params_json: bytes) -> BaseModel:
        """The parameters, a JSON document, as a model.

        Raises:
            InvalidRequest: lists every problem with its path from `params`.
        """
        try:
            return self.params_model.model_validate_json(params_json)
        except ValidationError as error:
            problems = _problems("params", error)
            raise InvalidRequest(
                f"params of task {self.name!r} are invalid: "
                f"{problems[0]['path']}: {problems[0]['message']}"
                + (f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""),
                problems,
            ) from error

    def call(self, params_json: bytes) -> Any:
        """Run the function on parameters as stored."""
        model = self.validate(params_json)
        fields = type(model).model_fields.items()
        return self.function(**{str(info.alias): getattr(model, name) for name, info in fields})

    def encode_result(self, value: Any) -> bytes:
        """The result as JSON bytes, as callers will read them.

        Raises:
            ResultError: not the declared type, or without a JSON form (NaN, infinity, lone
                surrogates included).
        """
        try:
            # Strict: what was declared, nothing that merely could become it.
            result = self._result_model.model_validate(value, strict=True)
            plain = result.model_dump(mode="json", warnings="error")
            return json.dumps(
                plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")
            ).encode()
        except ValidationError as error:
            problem = _problems("result", error)[0]
            raise ResultError(
                f"task {self.name!r} returned {type(value).__name__}: {problem['path']}: "
                f"{problem['message']}"
            ) from error
        except (PydanticSerializationError, TypeError, ValueError, RecursionError) as error:
            raise ResultError(
                f"task {self.name!r} returned {type(value).__name__}: {error}"
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
    isolation: Isolation = "executor",
    max_running: int | None = None,
) -> Callable[[Function], Function]:
    """Make a typed function a task. The function itself stays as it is and can be called and
    tested.

    Args:
        name: what callers submit; unique in the installation.
        queue: where its jobs wait.
        timeout_seconds: after this one attempt is stopped; None means `jobs.timeout_seconds`.
        max_attempts: how often a job may start at most; `PermanentError` ends it earlier.
        result_ttl_seconds: how long the result is kept; None means `jobs.result_ttl_seconds`.
        isolation: `executor` runs job after job in one process, as fast as it gets; `process` forks
            one for each job, for a task that changes its process: limits, signals, leaks, threads.
        max_running: how many of its jobs run at once, over all workers; None means
            `limits.max_running_per_task`.

    Raises:
        CatalogError: an option is out of its range.
    """
    options = TaskOptions(
        name, queue, timeout_seconds, max_attempts, result_ttl_seconds, isolation, max_running
    )
    for label, text in (("name", name), ("queue", queue)):
        if not _NAME.fullmatch(text):
            raise CatalogError(
                f"@task: {label}={text!r} must be 1-100 letters, digits, '_', '.' or '-'"
            )
    if isolation not in get_args(Isolation):
        raise CatalogError(f"@task {name!r}: isolation={isolation!r} must be executor or process")
    for label, number in (
        ("max_attempts", max_attempts),
        ("timeout_seconds", timeout_seconds),
        ("result_ttl_seconds", result_ttl_seconds),
        ("max_running", max_running),
    ):
        if number is not None and not 0 < number < math.inf:
            raise CatalogError(f"@task {name!r}: {label}={number!r} must be above 0 and finite")

    def mark(function: Function) -> Function:
        setattr(function, _MARK, options)
        return function

    return mark


def task_of(function: Callable[..., Any]) -> Task:
    """What `@task` has made of a function.

    Raises:
        CatalogError: the function is no task, or not typed.
    """
    options = inspect.getattr_static(function, _MARK, None)
    if options is None:
        raise CatalogError(f"{_where(function)} is no @task")
    return Task(function, options)


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
    except (Exception, SystemExit) as error:
        raise CatalogError(
            f"tasks.modules: cannot import {module_name!r}: {type(error).__name__}: {error}; "
            "is it installed or on PYTHONPATH?"
        ) from error
    # Static: other objects of the module may have attributes that do something.
    found = [value for value in vars(module).values() if inspect.getattr_static(value, _MARK, None)]
    if not found:
        raise CatalogError(f"tasks.modules: {module_name!r} defines no @task")
    yield from map(task_of, found)


def _params_model(function: Callable[..., Any], name: str) -> type[BaseModel]:
    where = _named(function, name)
    hints = _hints(function, where)
    fields: dict[str, Any] = {}
    for number, parameter in enumerate(inspect.signature(function).parameters.values()):
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise CatalogError(f"{where}: parameter {parameter.name!r} must be a plain named one")
        if parameter.name not in hints:
            raise CatalogError(f"{where}: annotate parameter {parameter.name!r}")
        default = ... if parameter.default is parameter.empty else parameter.default
        # By alias, since `json` or `schema` are fine parameters, but names that models keep.
        fields[f"parameter_{number}"] = (
            hints[parameter.name],
            Field(default, alias=parameter.name),
        )
    return create_model(f"{name}_params", __config__=ConfigDict(extra="forbid"), **fields)


def _result_model(function: Callable[..., Any], name: str) -> type[RootModel[Any]]:
    where = _named(function, name)
    if inspect.iscoroutinefunction(function):
        raise CatalogError(f"{where}: must be a plain function, not async")
    hints = _hints(function, where)
    if "return" not in hints:
        raise CatalogError(f"{where}: annotate what it returns (-> None if nothing)")
    returned = hints["return"]

    class Result(RootModel[returned]):  # type: ignore[valid-type]
        # By default pydantic writes NaN as null: a wrong answer instead of a failed job.
        model_config = ConfigDict(ser_json_inf_nan="constants", title=f"{name}_result")

    return Result


def _hints(function: Callable[..., Any], where: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
        raise CatalogError(f"{where}: {error}; its annotations must be importable") from error


def _named(function: Callable[..., Any], name: str) -> str:
    return f"task {name!r} ({_where(function)})"


def _where(function: Callable[..., Any]) -> str:
    return f"{function.__module__}.{function.__qualname__}"


def _problems(root: str, error: ValidationError) -> list[dict[str, str]]:
    return [
        {"path": _path((root, *problem["loc"])), "message": problem["msg"]}
        for problem in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def _path(parts: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(
        "."
    )
