"""Failures to Sentry, if a DSN is set: each is one event, made where it is known to be final.

Log lines make no events: what is logged and raised would be two. Without a DSN nothing of the SDK
is imported, and all of this does nothing.
"""

from __future__ import annotations

import atexit
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from jobresults.settings import Settings
from jobresults.telemetry import tracing

if TYPE_CHECKING:
    from jobresults.telemetry.sentry_client import SentryClient

logger = logging.getLogger(__name__)


class Draft(NamedTuple):
    """An event that is made and not sent: an id, and the envelope to send."""

    event_id: str
    envelope: bytes


class Request(NamedTuple):
    """The HTTP request a failure happened in, without its query. `route`: as it was registered."""

    method: str
    path: str
    route: str


# The SDK's client is the process's own; this says whether there is one.
_client: SentryClient | None = None


def start(settings: Settings) -> None:
    """Send this process's failures from now on; what is left at its exit gets a moment to go out.
    Once a process, after a fork.

    Raises:
        ConfigurationError: the DSN is none.
    """
    global _client
    if settings.sentry.dsn is None:
        return
    from jobresults.telemetry.sentry_client import SentryClient

    _client = SentryClient(settings)
    atexit.register(flush, settings.sentry.flush_seconds)


def capture(failure: BaseException | str, *, request: Request | None = None) -> str | None:
    """Send an event in the background. Returns its id; None if there is none, as without a DSN."""
    draft = make(failure, request=request)
    if draft is None:
        return None
    send(draft.envelope)
    return draft.event_id


def make(
    failure: BaseException | str,
    *,
    fingerprint: Sequence[str] = (),
    request: Request | None = None,
) -> Draft | None:
    """An event of the failure, with the fields of the logging context as tags; nothing is sent."""
    if _client is None:
        return None
    try:
        return _client.make(failure, fingerprint, request)
    except Exception:
        logger.warning("an event for Sentry could not be made", exc_info=True)
        return None


def send(envelope: bytes) -> None:
    """Send an envelope in the background. It is dropped if too many wait, or Sentry is away."""
    if _client is not None:
        _client.send(envelope)


def transactions() -> tracing.Sink | None:
    """Who makes Sentry's transactions of requests and of jobs that ran, if that is wished for."""
    return None if _client is None else _client.transactions()


def hand_over_to(outlet: Callable[[bytes], None]) -> None:
    """From now on this process sends nothing itself: what its code captures goes there."""
    if _client is not None:
        _client.hand_over_to(outlet)


def flush(seconds: float) -> None:
    """Wait until all is sent, at most so long."""
    if _client is not None:
        _client.flush(seconds)
