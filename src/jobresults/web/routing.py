"""What a route declares: where it is, who may call it, and what it takes and answers."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from typing import Any, Final, Literal, get_origin

from flask import Response
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from jobresults.accounts.principal import Scope

PUBLIC: Final = None
# With any credentials that are good: the view itself looks whose they are.
ANYONE_KNOWN: Final = "known"

Access = Scope | Literal["known"] | None


@dataclass(frozen=True)
class Answer:
    """A success and the model of its body; None: `schema` says what it is.

    `content_type` None: there is no body. `also_as`: other types it may have, all of them text.
    `headers` are always there.
    """

    description: str
    model: type[BaseModel] | None = None
    content_type: str | None = "application/json"
    also_as: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    schema: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Route:
    """One method of one path. Problems are given by status alone: they all have one shape.

    `is_page`: it is for people. A browser's cookie lets them in, and refusals are pages, too, for
    whoever prefers HTML.
    """

    method: str
    path: str
    view: Callable[..., Response]
    scope: Access
    answers: Mapping[int, Answer]
    problems: tuple[int, ...] = ()
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    parameters: tuple[str, ...] = field(default=())
    body_type: str = "application/json"
    is_page: bool = False

    @property
    def summary(self) -> str:
        return (inspect.getdoc(self.view) or "").partition("\n")[0].rstrip(".")

    @cached_property
    def repeatable(self) -> frozenset[str]:
        """The query parameters that may stand there more than once."""
        return frozenset(
            name for name, field in self._fields.items() if get_origin(field.annotation) is list
        )

    @cached_property
    def once(self) -> frozenset[str]:
        """The parameters, in query or header, that may stand there once."""
        return frozenset({*self.parameters, *self._fields}) - self.repeatable

    @property
    def _fields(self) -> dict[str, FieldInfo]:
        return {} if self.query is None else self.query.model_fields

    @property
    def tag(self) -> str:
        """The resource: the file its view stands in."""
        return self.view.__module__.rpartition(".")[2].partition("_")[0].capitalize()

    @property
    def all_problems(self) -> tuple[int, ...]:
        """Those it names, and those every route of its kind may answer."""
        always = () if self.scope is PUBLIC else (401, 403, 429, 503)
        of_body = () if self.body is None else (400, 408, 413, 415)
        of_query = (400,) if self.once or self.repeatable else ()
        return tuple(sorted({*self.problems, *always, *of_body, *of_query}))

    @property
    def operation_id(self) -> str:
        return self.view.__name__ + ("_live" if self.path.endswith("/live") else "")

    @property
    def path_variables(self) -> list[str]:
        return re.findall(r"<(?:\w+:)?(\w+)>", self.path)


def phrase(status: int) -> str:
    """The standard phrase of a status."""
    return HTTPStatus(status).phrase
