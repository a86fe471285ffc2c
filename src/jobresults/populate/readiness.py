"""Waiting until there is a service, and that it lets this caller in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import backoff

from jobresults.client import ClientError, ServiceUnavailable
from jobresults.populate.caller import Caller, Request

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.25, 5.0


def wait_until_ready(caller: Caller, within_seconds: float, tell: Callable[[str], object]) -> str:
    """The service's version, once it takes traffic. `tell` is told why it is tried again.

    Raises:
        ServiceUnavailable: it did not in that time.
    """

    def on_backoff(details: Any) -> None:
        tell(f"{details['exception']}; trying again in {details['wait']:.1f} s")

    @backoff.on_exception(
        backoff.expo,
        ServiceUnavailable,
        max_time=within_seconds,
        factor=_FIRST_PAUSE_SECONDS,
        max_value=_LONGEST_PAUSE_SECONDS,
        logger=None,
        on_backoff=on_backoff,
    )
    def ready() -> str:
        try:
            reply = caller.send(Request("GET", "/status/ready"))
        except ServiceUnavailable as error:
            raise ServiceUnavailable(f"{caller.base_url}: {error.detail}") from error
        if reply.status != 200 or not isinstance(reply.document, dict):
            raise ServiceUnavailable(f"{caller.base_url} is not ready: it answers {reply.status}")
        return str(reply.document.get("version"))

    found: str = ready()
    return found


def require_task(caller: Caller, name: str) -> None:
    """See that the service runs the task, and runs it for this caller.

    Raises:
        AuthenticationFailed
        ClientError: there is no such task.
    """
    reply = caller.send(Request("GET", "/v1/tasks"))
    names = [task["name"] for task in reply.only(200)["tasks"]]
    if name not in names:
        raise ClientError(f"the service runs no task {name!r}, but {', '.join(names)}")
