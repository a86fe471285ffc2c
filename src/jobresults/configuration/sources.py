"""What the YAML file and the environment say, before anyone knows whether it is right."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from jobresults.errors import ConfigurationError

PREFIX = "JOBRESULTS_"
# Read by the client and by load_settings itself; not keys of the tree.
OTHER_VARIABLES = frozenset({"CONFIG", "URL", "TOKEN", "TOKEN_FILE", "DATA_DIR"})


@dataclass(frozen=True)
class Variable:
    """An environment variable that sets a key; `file`: where it says that the value stands."""

    name: str
    path: tuple[str, ...]
    value: Any
    file: str | None = None


def named_file(path: str | Path | None, environ: Mapping[str, str]) -> Path:
    """The YAML file that is named, else `config.yaml`, which need not exist.

    Raises:
        ConfigurationError: the one that is named does not.
    """
    named = path or environ.get(PREFIX + "CONFIG")
    file = Path(named) if named else Path("config.yaml")
    if named and not file.is_file():
        raise ConfigurationError(
            f"configuration file {file} does not exist; mend --config or {PREFIX}CONFIG"
        )
    return file


def read_yaml(file: Path) -> dict[str, Any]:
    """The sections of the file; none if there is no file.

    Raises:
        ConfigurationError
    """
    if not file.is_file():
        return {}
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


def read_environment(environ: Mapping[str, str]) -> Iterator[Variable]:
    """`JOBRESULTS_A__B=value` and `JOBRESULTS_A__B_FILE=path`; an empty file sets nothing, and so
    does a missing one whose path has a hyphen in front, as in systemd's `EnvironmentFile=`.

    Raises:
        ConfigurationError
    """
    for variable, text in sorted(environ.items()):
        name, file = variable.removeprefix(PREFIX), None
        if name == variable or name in OTHER_VARIABLES:
            continue
        if name.endswith("_FILE"):
            name, file = name.removesuffix("_FILE"), text.removeprefix("-")
            text = _read_secret(variable, text)
            if not text:  # mounted everywhere, filled where it is wanted
                continue
        path = tuple(name.lower().split("__"))
        yield Variable(variable, path, _decode(variable, text), file)


def tree_of(variables: Sequence[Variable]) -> dict[str, Any]:
    """The sections that the variables make; of several for one key the last counts.

    Raises:
        ConfigurationError: a section is set to a value, too.
    """
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
