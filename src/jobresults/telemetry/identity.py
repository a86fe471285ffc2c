"""Which process of which version speaks."""

from __future__ import annotations

import os
import socket
from functools import cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version


def pod() -> str:
    """The pod, or the machine."""
    return os.environ.get("HOSTNAME") or socket.gethostname()


@cache
def version() -> str:
    """The service's version; a bare source tree has none, and must log, too."""
    try:
        return installed_version("jobresults")
    except PackageNotFoundError:
        return "unknown"
