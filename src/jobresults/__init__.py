"""The public face: `task`, `current_job` and `PermanentError` for task authors, `Client` and
`verify_callback` for callers.

Names resolve on first use, so that the client needs none of the service's dependencies.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobresults.client import Client, verify_callback
    from jobresults.errors import PermanentError
    from jobresults.jobs.catalog import task
    from jobresults.jobs.context import current_job

__all__ = ["Client", "PermanentError", "current_job", "task", "verify_callback"]

_HOMES = {
    "Client": "jobresults.client",
    "PermanentError": "jobresults.errors",
    "current_job": "jobresults.jobs.context",
    "task": "jobresults.jobs.catalog",
    "verify_callback": "jobresults.client",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
