"""Reading settings from `config.yaml` and the environment, and saying clearly what is wrong with
them.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, YamlConfigSettingsSource

from jobresults.errors import ConfigurationError
from jobresults.settings import Settings

PREFIX = "JOBRESULTS_"
# Read by the client and by load_settings itself; not keys of the tree.
OTHER_VARIABLES = frozenset({"CONFIG", "URL", "TOKEN", "TOKEN_FILE", "DATA_DIR"})


class EnvironmentSource(PydanticBaseSettingsSource):
    """`JOBRESULTS_A__B=value` and `JOBRESULTS_A__B_FILE=path` as a nested dict.

    pydantic-settings' own source ignores unknown top-level names and knows no `_FILE`.
    """

    def __init__(self, settings_cls: type[BaseSettings], environ: Mapping[str, str]) -> None:
        super().__init__(settings_cls)
        self._environ = environ

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self().get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        tree: dict[str, Any] = {}
        for variable, text in sorted(self._environ.items()):
            name = variable.removeprefix(PREFIX)
            if name == variable or name in OTHER_VARIABLES:
                continue
            if name.endswith("_FILE"):
                name, text = name.removesuffix("_FILE"), _read_secret(variable, text)
            *parents, leaf = name.lower().split("__")
            node = tree
            for parent in parents:
                node = node.setdefault(parent, {})
            node[leaf] = _decode(variable, text)
        return tree


def load_settings(
    path: str | Path | None = None, environ: Mapping[str, str] | None = None
) -> Settings:
    """Read the settings once, at a process's start.

    `path` is the YAML file; without it `$JOBRESULTS_CONFIG`, else `./config.yaml` if there is one.

    Raises:
        ConfigurationError: names each wrong key, where it stands, what is wrong and the nearest
            valid key.
    """
    variables = os.environ if environ is None else environ
    named = path or variables.get(PREFIX + "CONFIG")
    file = Path(named) if named else Path("config.yaml")
    if named and not file.is_file():
        raise ConfigurationError(
            f"configuration file {file} does not exist; mend --config or {PREFIX}CONFIG"
        )

    class _Sourced(Settings):
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *_: Any, **__: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return EnvironmentSource(settings_cls, variables), YamlConfigSettingsSource(
                settings_cls, file
            )

    try:
        return Settings.model_construct(**dict(_Sourced()))
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{file} is not valid YAML: {error}") from error
    except ValidationError as error:
        from_environment = EnvironmentSource(Settings, variables)()
        lines = [_explain(problem, file, from_environment) for problem in error.errors()]
        raise ConfigurationError("\n".join(lines)) from error


def _read_secret(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigurationError(f"{variable}: cannot read {path}: {error.strerror}") from error


def _decode(variable: str, text: str) -> Any:
    if not text.startswith(("[", "{")):
        return text
    try:
        return json.loads(text)
    except ValueError as error:
        raise ConfigurationError(
            f'{variable}: not valid JSON ({error}); write a list as ["a", "b"]'
        ) from error


def _explain(problem: Any, file: Path, from_environment: dict[str, Any]) -> str:
    path = [str(part) for part in problem["loc"]]
    origin = str(file)
    if _contains(from_environment, path):
        origin = "environment variable " + PREFIX + "__".join(path).upper()
    key = ".".join(path)
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(path[-1], _siblings(path), n=1, cutoff=0.5)
        hint = (
            f"did you mean {'.'.join([*path[:-1], near[0]])}?"
            if near
            else ("valid here: " + ", ".join(_siblings(path)))
        )
        return f"{key}: unknown key ({origin}); {hint}"
    return f"{key}: {problem['msg']} ({origin}); got {_shown(problem)}"


def _shown(problem: Any) -> str:
    """The offending value, unless it may hold a secret."""
    return "a hidden value" if "url" in problem["loc"] else repr(problem["input"])[:120]


def _contains(tree: Any, path: list[str]) -> bool:
    for part in path:
        if not isinstance(tree, dict) or part not in tree:
            return False
        tree = tree[part]
    return bool(path)


def _siblings(path: list[str]) -> list[str]:
    model: type[BaseModel] = Settings
    for part in path[:-1]:
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return sorted(model.model_fields)
