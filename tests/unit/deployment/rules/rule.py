"""A rule, the changes that break it, and the objects it is about."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from jobresults.configuration import load_settings
from jobresults.settings import Settings

PROCESSES = ("web", "worker", "maintenance")
REMOVED = object()
Manifest = dict[str, Any]


class Overlay:
    """What one overlay makes, by kind and name."""

    def __init__(self, name: str, documents: list[Manifest]) -> None:
        self.name = name
        self.documents = documents

    def get(self, kind: str, name: str) -> Manifest | None:
        named = ((d["kind"], d["metadata"]["name"]) for d in self.documents)
        found = dict(zip(named, self.documents, strict=True))
        return found.get((kind, name))

    def _found(self, kind: str, name: str) -> Manifest | None:
        """By its name, or the part of it before a hash."""
        names = [name_of(document) for document in self.of(kind)]
        full = next(
            (n for n in names if n == name or re.fullmatch(f"{name}-[a-z0-9]{{10}}", n)), ""
        )
        return self.get(kind, full)

    def of(self, *kinds: str) -> list[Manifest]:
        return [document for document in self.documents if document["kind"] in kinds]

    @property
    def workloads(self) -> list[Manifest]:
        return self.of("Deployment", "StatefulSet", "Job")

    @property
    def deployments(self) -> list[Manifest]:
        return self.of("Deployment")

    @property
    def variables(self) -> dict[str, str]:
        """The settings all processes get."""
        (document,) = (d for d in self.of("ConfigMap") if name_of(d).startswith("settings-"))
        return dict(document["data"])

    @property
    def settings(self) -> Settings:
        """Parsed, without what stands in files."""
        plain = {name: text for name, text in self.variables.items() if not name.endswith("_FILE")}
        return load_settings("config.yaml", plain)

    def changed(self, change: Change) -> Overlay | None:
        """As it would be with that change; None if it has nothing to change."""
        other = Overlay(self.name, copy.deepcopy(self.documents))
        target = other._found(change.kind, change.name)
        if target is None:
            return None
        *parents, last = (int(part) if part.isdigit() else part for part in change.path.split("/"))
        for part in parents:
            target = target[part]  # type: ignore[index]
        if change.value is REMOVED:
            if isinstance(target, dict) and last not in target:
                return None
            del target[last]  # type: ignore[arg-type]
        else:
            target[last] = change.value  # type: ignore[index]
        return other


@dataclass(frozen=True)
class Change:
    """Of one object, somewhere in it; keys that hold slashes cannot be named."""

    kind: str
    name: str
    path: str
    value: Any


@dataclass(frozen=True)
class Rule:
    """Yields what is wrong."""

    check: Callable[[Overlay], Iterator[str]]
    broken_by: tuple[Change, ...]


RULES: dict[str, Rule] = {}


def broken_by(*changes: tuple[str, str, Any]) -> Callable[[Any], Any]:
    """Makes a rule of a function. Each change: `Kind/name`, the path in it, the value."""

    def register(check: Callable[[Overlay], Iterator[str]]) -> Callable[[Overlay], Iterator[str]]:
        made = tuple(Change(*where.split("/"), path, value) for where, path, value in changes)
        RULES[check.__name__] = Rule(check, made)
        return check

    return register


def name_of(document: Manifest) -> str:
    return str(document["metadata"]["name"])


def pod_of(workload: Manifest) -> Manifest:
    pod: Manifest = workload["spec"]["template"]["spec"]
    return pod


def labels_of(workload: Manifest) -> dict[str, str]:
    """Of its pods."""
    return dict(workload["spec"]["template"]["metadata"]["labels"])


def container_of(workload: Manifest) -> Manifest:
    """The only one."""
    (container,) = pod_of(workload)["containers"]
    assert isinstance(container, dict)
    return container


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """Whether a label selector fits."""
    equal = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    return equal and all(
        expression["operator"] == "In" and labels.get(expression["key"]) in expression["values"]
        for expression in selector.get("matchExpressions", ())
    )


def ports_of(workload: Manifest) -> dict[str, int]:
    return {port["name"]: port["containerPort"] for port in container_of(workload).get("ports", ())}


def secret_files(workload: Manifest) -> dict[str, tuple[str, bool]]:
    """The files its pods find below `/run/secrets`: which secret's key, and whether it may lack."""
    files: dict[str, tuple[str, bool]] = {}
    mounts = {m["name"]: m["mountPath"] for m in container_of(workload)["volumeMounts"]}
    for volume in pod_of(workload)["volumes"]:
        sources = [source["secret"] for source in volume.get("projected", {}).get("sources", ())]
        sources += [volume["secret"]] if "secret" in volume else []
        for source in sources:
            for item in source["items"]:
                path = PurePosixPath(mounts[volume["name"]], item["path"])
                files[str(path)] = (item["key"], source.get("optional", False))
    return files
