"""What is wrong with a key, where it stands and what helps; never a value that may be a secret."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from jobresults.configuration.sources import Variable
from jobresults.settings import Settings

# pydantic's own words for these speak of Python's types.
_MESSAGES = {
    "model_type": "must be a section with keys of its own",
    "tuple_type": 'must be a list: [a, b] in YAML, ["a", "b"] in the environment',
}
# Keys whose value is never shown, beside those that end in "url".
_SECRET_NAMES = frozenset(
    {"password", "bot_token", "signing_key", "dsn", "secret", "secrets", "token_keys", "headers"}
)


def explain(problem: Any, file: Path, variables: Sequence[Variable]) -> str:
    """One of pydantic's errors as a line."""
    path = [str(part) for part in problem["loc"]]
    key = ".".join(path)
    origin = _origin(path, file, variables)
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(path[-1], _keys(path[:-1]), n=1, cutoff=0.5)
        hint = (
            f"did you mean {'.'.join([*path[:-1], near[0]])}?"
            if near
            else f"valid here: {', '.join(_keys(path[:-1]))}"
        )
        return f"{key}: unknown key ({origin}); {hint}"
    message = _MESSAGES.get(problem["type"], problem["msg"].removeprefix("Value error, "))
    return f"{key}: {message} ({origin}){_got(path, problem['input'])}"


def _origin(path: list[str], file: Path, variables: Sequence[Variable]) -> str:
    """The variables that set the key, something in it, or what it is in; else the file."""
    names = [
        variable.name
        for variable in variables
        if all(mine == its for mine, its in zip(path, variable.path, strict=False))
    ]
    return f"environment: {', '.join(names)}" if names else str(file)


def _got(path: list[str], value: Any) -> str:
    """The offending value, unless it may hold a secret: a URL, a key, or anything instead of a
    section.
    """
    named_secret = any(part in _SECRET_NAMES or part.endswith("url") for part in path)
    may_be_secret = named_secret or _keys(path) or isinstance(value, dict | list)
    return "" if may_be_secret else f"; got {value!r:.120}"


def _keys(path: list[str]) -> list[str]:
    """The keys of the section at that path; none if there is no section."""
    model: Any = Settings
    for part in path:
        if part.isdecimal():  # an item of a list of sections
            model = get_args(model)[0] if get_args(model) else None
        elif get_origin(model) is Mapping:  # its keys are names of the operators' own
            model = get_args(model)[1]
        else:
            field = getattr(model, "model_fields", {}).get(part)
            model = field and field.annotation
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return []
    return sorted(model.model_fields)
