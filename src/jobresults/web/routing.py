"""What a route declares: where it is, who may call it, and what it takes and answers."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from flask import Response
from pydantic import BaseModel

from jobresults.accounts.api_keys import Scope

PUBLIC = None


@dataclass(frozen=True)
class Answer:
    """A success and the model of its body, None: whatever the task returned.

    `content_type` None: there is no body. `also_as`: another type the caller can ask for.
    """

    description: str
    model: type[BaseModel] | None = None
    content_type: str | None = "application/json"
    also_as: str | None = None


@dataclass(frozen=True)
class Route:
    """One method of one path. Problems are given by status alone: they all have one shape."""

    method: str
    path: str
    view: Callable[..., Response]
    scope: Scope | None
    answers: Mapping[int, Answer]
    problems: tuple[int, ...] = ()
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    parameters: tuple[str, ...] = field(default=())

    @property
    def summary(self) -> str:
        return (inspect.getdoc(self.view) or "").partition("\n")[0].rstrip(".")

    @property
    def tag(self) -> str:
        """The resource: the file its view stands in."""
        return self.view.__module__.rpartition(".")[2].capitalize()

    @property
    def all_problems(self) -> tuple[int, ...]:
        """Those it names, and those every route of its kind may answer."""
        always = () if self.scope is PUBLIC else (401, 403, 429, 503)
        return tuple(sorted({*self.problems, *always}))


def phrase(status: int) -> str:
    """The standard phrase of a status."""
    return HTTPStatus(status).phrase
