"""Python and the installed distributions against what this release needs."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

from jobresults.doctor.findings import Finding, Subject, error, ok
from jobresults.telemetry import identity

_LEAST_PYTHON = (3, 11)
_INSTALL = "install this release anew: make install, or pip install -r requirements/run.txt"


def check(_subject: Subject) -> Iterator[Finding]:
    """Redis' and PostgreSQL's versions are told with them."""
    python = platform.python_version()
    if sys.version_info < _LEAST_PYTHON:
        yield error("versions.python", f"Python {python}", "3.11 or newer is needed")
    else:
        yield ok("versions.python", f"Python {python}, jobresults {identity.version()}")
    from packaging.requirements import Requirement

    try:
        needs = [Requirement(text) for text in requires("jobresults") or ()]
    except PackageNotFoundError:
        yield error("versions.installed", "jobresults is not installed", _INSTALL)
        return
    wanted = [need for need in needs if need.name != "jobresults" and _is_for_a_service(need)]
    wrong = list(filter(None, (_problem(need.name, need) for need in wanted)))
    for text in wrong:
        yield error("versions.installed", text, _INSTALL)
    if not wrong:
        yield ok("versions.installed", f"all {len(wanted)} distributions are new enough")


def _is_for_a_service(need: Any) -> bool:
    extras = ("", "cli", "service")
    return need.marker is None or any(need.marker.evaluate({"extra": name}) for name in extras)


def _problem(name: str, need: object) -> str | None:
    specifier = getattr(need, "specifier", None)
    try:
        found = version(name)
    except PackageNotFoundError:
        return f"{name} is not installed; {specifier} is needed"
    if specifier is not None and not specifier.contains(found, prereleases=True):
        return f"{name} {found} is installed; {specifier} is needed"
    return None
