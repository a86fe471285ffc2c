"""The Sentry SDK as this service uses it. Imported only if a DSN is set."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.integrations.excepthook import ExcepthookIntegration
from sentry_sdk.transport import HttpTransport
from sentry_sdk.utils import BadDsn, event_from_exception

from jobresults.errors import ConfigurationError
from jobresults.settings import Settings
from jobresults.telemetry import identity, logging_context, tracing
from jobresults.telemetry.redaction import hide
from jobresults.telemetry.sentry import Draft, Request
from jobresults.telemetry.sentry_transactions import Transactions

# Where envelopes go that are made within `make`.
_drafts: ContextVar[list[Envelope] | None] = ContextVar("jobresults_sentry_drafts", default=None)
_TAGS = tuple(name for name in logging_context.FIELDS if name != "trace_id")


class SentryClient:
    """The process's one client. Whatever else in the process uses the SDK goes through it, too."""

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigurationError."""
        chosen = settings.sentry
        assert chosen.dsn is not None
        self._outlet: Callable[[bytes], None] | None = None
        self._traces_sample_rate = chosen.traces_sample_rate
        tasks = {module.partition(".")[0] for module in settings.tasks.modules}
        try:
            sentry_sdk.init(
                dsn=chosen.dsn.get_secret_value(),
                environment=settings.environment,
                release=identity.version(),
                sample_rate=chosen.sample_rate,
                traces_sample_rate=chosen.traces_sample_rate or None,
                transport=self._transport_class(chosen.timeout_seconds),
                before_send=_scrub,
                before_send_transaction=_scrub,
                # The SDK's own choice hooks into logging, threads, subprocesses, HTTP and SQL.
                default_integrations=False,
                auto_enabling_integrations=False,
                integrations=[DedupeIntegration(), ExcepthookIntegration()],
                in_app_include=sorted(tasks | {"jobresults"}),
                # Arguments, bodies, cookies and people's names stay here: `send_default_pii` is off
                # unless it is set, and setting it is deprecated.
                include_local_variables=False,
                max_request_body_size="never",
                max_breadcrumbs=0,
                auto_session_tracking=False,
                send_client_reports=False,
            )
        except BadDsn:
            raise ConfigurationError(
                "sentry.dsn: must be https://KEY@HOST/PROJECT, as Sentry shows it at Client Keys"
            ) from None  # its text quotes the DSN

    def make(
        self, failure: BaseException | str, fingerprint: Sequence[str], request: Request | None
    ) -> Draft | None:
        """An event that is not sent; None if it was sampled out, or is of an exception that has
        its event.
        """
        drafts: list[Envelope] = []
        token = _drafts.set(drafts)
        try:
            with sentry_sdk.new_scope() as scope:
                for name in _TAGS:
                    value = logging_context.current(name)
                    if value is not None:
                        scope.set_tag(name, str(value))
                trace = tracing.current()
                if trace is not None:
                    scope.set_context(
                        "trace", {"trace_id": trace.trace_id, "span_id": trace.span_id}
                    )
                if fingerprint:
                    scope.fingerprint = list(fingerprint)
                event_id = _capture(failure, request)
        finally:
            _drafts.reset(token)
        if event_id is None or not drafts:
            return None
        return Draft(event_id, drafts[0].serialize())

    def send(self, envelope: bytes) -> None:
        """In the background."""
        transport = sentry_sdk.get_client().transport
        if transport is not None:
            transport.capture_envelope(Envelope.deserialize(envelope))

    def transactions(self) -> Transactions | None:
        """Who makes them, if any are to be made."""
        if self._traces_sample_rate == 0:
            return None
        return Transactions(self._traces_sample_rate)

    def hand_over_to(self, outlet: Callable[[bytes], None]) -> None:
        """Envelopes go there from now on."""
        self._outlet = outlet

    def flush(self, seconds: float) -> None:
        """Wait for what is being sent."""
        sentry_sdk.flush(seconds)

    def _transport_class(self, timeout_seconds: float) -> type[HttpTransport]:
        client = self

        class Transport(HttpTransport):
            """Keeps drafts back, and hands over what this process is not to send itself."""

            TIMEOUT = timeout_seconds  # type: ignore[assignment]  # urllib3 takes fractions

            def capture_envelope(self, envelope: Envelope) -> None:
                drafts = _drafts.get()
                if drafts is not None:
                    drafts.append(envelope)
                elif client._outlet is not None:
                    client._outlet(envelope.serialize())
                else:
                    super().capture_envelope(envelope)

        return Transport


def _capture(failure: BaseException | str, request: Request | None) -> str | None:
    if isinstance(failure, str):
        return sentry_sdk.capture_message(failure, level="error")
    options = sentry_sdk.get_client().options
    mechanism = {"type": "jobresults", "handled": True}
    event, hint = event_from_exception(failure, client_options=options, mechanism=mechanism)
    if request is not None:
        event["request"] = {"method": request.method, "url": request.path}
        event["transaction"] = f"{request.method} {request.route}"
    return sentry_sdk.capture_event(event, hint=hint)


def _scrub(event: Any, _hint: Any) -> Any:
    """Without secrets, and without the query string, into which people put them."""
    request = event.get("request")
    if isinstance(request, dict):
        request.pop("query_string", None)
        request.pop("cookies", None)
    return _hidden(event)


def _hidden(value: Any) -> Any:
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, dict):
        return {name: _hidden(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_hidden(item) for item in value]
    return value
