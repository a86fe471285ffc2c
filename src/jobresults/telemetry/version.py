"""Which version of the service this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def service_version() -> str:
    """The installed version; `unknown` in a bare source tree, which must log, too."""
    try:
        return version("jobresults")
    except PackageNotFoundError:
        return "unknown"
