"""Every setting with its value and where that comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from jobresults.configuration.salvaging import Salvaged

_Path = tuple[str, ...]


@dataclass(frozen=True)
class Setting:
    """A key, its value as it is, secrets included, and what gave it that value."""

    key: str
    value: Any
    origin: str


def all_settings(found: Salvaged) -> Iterator[Setting]:
    """Each key there is, lists as one. Those that are wrong have their defaults."""
    for path, value in _leaves(found.settings, ()):
        yield Setting(".".join(path), value, _origin(found, path))


def _leaves(value: Any, path: _Path) -> Iterator[tuple[_Path, Any]]:
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _leaves(getattr(value, name), (*path, name))
    elif isinstance(value, Mapping) and value:  # by names of the operators' own
        for key, section in value.items():
            for name in sorted(section.model_fields_set):  # what is not set is another key's
                yield (*path, str(key), name), getattr(section, name)
    else:
        yield path, value


def _origin(found: Salvaged, path: _Path) -> str:
    setting = [it for it in found.variables if it.path == path[: len(it.path)]]
    if setting and _is_set(found.tree, path):
        variable = setting[-1]  # as in the tree
        if variable.file is None:
            return f"environment {variable.name}"
        return f"file {variable.file} ({variable.name})"
    return str(found.file) if _is_set(found.document, path) else "default"


def _is_set(tree: Mapping[str, Any], path: _Path) -> bool:
    node: Any = tree
    for part in path:
        if not isinstance(node, Mapping) or part not in node:
            return False
        node = node[part]
    return True
