"""The settings without what is wrong with them, and what that is: for looking at an installation.
No process of the service starts with less than it was given.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from jobresults.configuration.explanation import explain
from jobresults.configuration.loading import validated
from jobresults.configuration.sources import (
    Variable,
    named_file,
    read_environment,
    read_yaml,
    tree_of,
)
from jobresults.errors import ConfigurationError
from jobresults.settings import Settings


@dataclass(frozen=True)
class Salvaged:
    """Settings, what was wrong as `load_settings` says it, and what is left of their sources: the
    file with its sections, the variables with theirs.
    """

    settings: Settings
    problems: tuple[str, ...]
    file: Path
    document: Mapping[str, Any] = field(repr=False)
    variables: tuple[Variable, ...] = field(repr=False)
    tree: Mapping[str, Any] = field(repr=False)


def salvage_settings(
    path: str | Path | None = None, environ: Mapping[str, str] | None = None
) -> tuple[Settings, list[str]]:
    """The settings without what is wrong, and what that is, as `load_settings` says it."""
    found = salvage(path, environ)
    return found.settings, list(found.problems)


def salvage(path: str | Path | None = None, environ: Mapping[str, str] | None = None) -> Salvaged:
    """The same, with what is left of the sources."""
    environ = os.environ if environ is None else environ
    problems: list[str] = []
    file, document = Path("config.yaml"), {}
    try:
        file = named_file(path, environ)
        document = read_yaml(file)
    except ConfigurationError as error:
        problems.append(error.detail)
    variables = _readable(environ, problems)
    tree = tree_of(variables)
    while True:
        try:
            settings = validated(tree, document)
        except ValidationError as error:
            found = error.errors()
        else:
            return Salvaged(settings, tuple(problems), file, document, tuple(variables), tree)
        problems += [explain(problem, file, variables) for problem in found]
        left_out = [_leave_out(it, one["loc"]) for it in (tree, document) for one in found]
        if not any(left_out):
            tree, document = {}, {}


def _readable(environ: Mapping[str, str], problems: list[str]) -> list[Variable]:
    """The variables that can be read and do not contradict those before; adds what is wrong with
    the others.
    """
    variables: list[Variable] = []
    for name, text in sorted(environ.items()):
        try:
            more = [*variables, *read_environment({name: text})]
            tree_of(more)
            variables = more
        except ConfigurationError as error:
            problems.append(error.detail)
    return variables


def _leave_out(tree: dict[str, Any], path: Sequence[str | int]) -> bool:
    """Remove a key, or the list it is in. Returns whether it was there."""
    node: Any = tree
    for place, part in enumerate(path):
        if not isinstance(node, dict) or part not in node:
            return False
        if place == len(path) - 1 or not isinstance(node[part], dict):
            del node[part]
            return True
        node = node[part]
    return False
