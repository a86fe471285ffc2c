"""Reading settings from `config.yaml` and the environment, and saying clearly what is wrong with
them.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource

from jobresults.errors import ConfigurationError
from jobresults.settings import Settings

PREFIX = "JOBRESULTS_"
# Read by the client and by load_settings itself; not keys of the tree.
OTHER_VARIABLES = frozenset({"CONFIG", "URL", "TOKEN", "TOKEN_FILE", "DATA_DIR"})
# pydantic's own words for these speak of Python's types.
_MESSAGES = {
    "model_type": "must be a section with keys of its own",
    "tuple_type": 'must be a list: [a, b] in YAML, ["a", "b"] in the environment',
}
# Keys whose value is never shown, beside those that end in "url".
_SECRET_NAMES = frozenset(
    {"password", "bot_token", "signing_key", "dsn", "secret", "secrets", "token_keys", "headers"}
)


@dataclass(frozen=True)
class _Variable:
    """An environment variable that sets a key."""

    name: str
    path: tuple[str, ...]
    value: Any


def load_settings(
    path: str | Path | None = None, environ: Mapping[str, str] | None = None
) -> Settings:
    """Read the settings once, at a process's start.

    `path` is the YAML file; without it `$JOBRESULTS_CONFIG`, else `./config.yaml` if there is one.

    Raises:
        ConfigurationError: names each wrong key, where it stands, what is wrong and the nearest
            valid key. Never shows a value that may be a secret.
    """
    environ = os.environ if environ is None else environ
    file = _file(path, environ)
    document = _read_yaml(file) if file.is_file() else {}
    variables = list(_read_environment(environ))
    try:
        return _validated(_tree(variables), document)
    except ValidationError as error:
        lines = [_explain(problem, file, variables) for problem in error.errors()]
        raise ConfigurationError("\n".join(lines)) from error


def salvage_settings(
    path: str | Path | None = None, environ: Mapping[str, str] | None = None
) -> tuple[Settings, list[str]]:
    """The settings without what is wrong, and what that is, as `load_settings` says it. For looking
    at an installation; no process of the service starts with less than it was given.
    """
    environ = os.environ if environ is None else environ
    problems: list[str] = []
    file, document = Path("config.yaml"), {}
    variables: list[_Variable] = []
    try:
        file = _file(path, environ)
        document = _read_yaml(file) if file.is_file() else {}
    except ConfigurationError as error:
        problems.append(error.detail)
    for name, text in sorted(environ.items()):
        try:
            more = [*variables, *_read_environment({name: text})]
            _tree(more)
            variables = more
        except ConfigurationError as error:
            problems.append(error.detail)
    tree = _tree(variables)
    while True:
        try:
            return _validated(tree, document), problems
        except ValidationError as error:
            found = error.errors()
        problems += [_explain(problem, file, variables) for problem in found]
        left_out = [_leave_out(it, one["loc"]) for it in (tree, document) for one in found]
        if not any(left_out):
            tree, document = {}, {}


def _file(path: str | Path | None, environ: Mapping[str, str]) -> Path:
    named = path or environ.get(PREFIX + "CONFIG")
    file = Path(named) if named else Path("config.yaml")
    if named and not file.is_file():
        raise ConfigurationError(
            f"configuration file {file} does not exist; mend --config or {PREFIX}CONFIG"
        )
    return file


def _validated(tree: dict[str, Any], document: dict[str, Any]) -> Settings:
    """Raises ValidationError. What is in `tree` goes before what is in `document`."""

    class _Sourced(Settings, BaseSettings):  # type: ignore[misc]  # pydantic merges their configs
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *_: Any, **__: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return InitSettingsSource(settings_cls, tree), InitSettingsSource(
                settings_cls, document
            )

    return Settings.model_construct(**dict(_Sourced()))


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


def _read_yaml(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:  # given bytes, yaml would quote them in its messages
            document = yaml.safe_load(stream)
    except OSError as error:
        raise ConfigurationError(f"cannot read {file}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{file} is not valid YAML: {error}") from error
    if not isinstance(document, dict | None):
        raise ConfigurationError(f"{file} must hold sections of keys, like `web: {{port: 8000}}`")
    return {str(key): value for key, value in (document or {}).items()}


def _read_environment(environ: Mapping[str, str]) -> Iterator[_Variable]:
    """`JOBRESULTS_A__B=value` and `JOBRESULTS_A__B_FILE=path`; an empty file sets nothing, and so
    does a missing one whose path has a hyphen in front, as in systemd's `EnvironmentFile=`.

    pydantic-settings' own source ignores unknown top-level names and knows no `_FILE`.
    """
    for variable, text in sorted(environ.items()):
        name = variable.removeprefix(PREFIX)
        if name == variable or name in OTHER_VARIABLES:
            continue
        if name.endswith("_FILE"):
            name, text = name.removesuffix("_FILE"), _read_secret(variable, text)
            if not text:  # mounted everywhere, filled where it is wanted
                continue
        yield _Variable(variable, tuple(name.lower().split("__")), _decode(variable, text))


def _tree(variables: list[_Variable]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for variable in variables:
        *sections, key = variable.path
        node = tree
        for section in sections:
            node = node.setdefault(section, {})
            if not isinstance(node, dict):
                raise ConfigurationError(
                    f"{variable.name}: {section} is a section here, but another variable sets it "
                    "to a value"
                )
        node[key] = variable.value
    return tree


def _read_secret(variable: str, path: str) -> str:
    may_be_missing, path = path.startswith("-"), path.removeprefix("-")
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        if may_be_missing and isinstance(error, FileNotFoundError):
            return ""
        raise ConfigurationError(f"{variable}: cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{variable}: {path} is not UTF-8 text") from error


def _decode(variable: str, text: str) -> Any:
    if not text.startswith("["):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigurationError(
            f'{variable}: not valid JSON ({error}); write a list as ["a", "b"]'
        ) from error


def _explain(problem: Any, file: Path, variables: list[_Variable]) -> str:
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


def _origin(path: list[str], file: Path, variables: list[_Variable]) -> str:
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
