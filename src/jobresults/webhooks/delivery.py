"""Delivering callbacks: a loop that takes what is due, and a thread for each delivery."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version

from jobresults.batching import Batcher
from jobresults.database import Database
from jobresults.errors import JobResultsError, NotFound, Unavailable
from jobresults.jobs.outbox import PENDING
from jobresults.settings import CallbacksSettings
from jobresults.telemetry import metrics, trace_context
from jobresults.telemetry.logging_context import bind, bound
from jobresults.webhooks import callback_span, claims, signatures, signing_secrets
from jobresults.webhooks.claims import Claim, Sent
from jobresults.webhooks.fairness import Slots
from jobresults.webhooks.payload import body_of, read_record
from jobresults.webhooks.sender import NotSent, Sender

logger = logging.getLogger(__name__)

# A delivery that has not ended by twice its deadline and this was made by one who is dead.
_LEASE_MARGIN_SECONDS = 5.0
_REST_SECONDS = 2.0
_RECORDED_TOGETHER = 100
# How attempts are counted, by what became of their callbacks.
_OUTCOMES = {
    "delivered": "delivered",
    PENDING: "failed",
    "given_up": "given_up",
    "stopped": "given_up",
}


class Deliveries:
    """Delivers for one process until it is stopped. Those cut short are made again by another, or
    by the next process: at least once, never lost.
    """

    def __init__(
        self,
        database: Database,
        settings: CallbacksSettings,
        sender: Sender | None = None,
        *,
        tell_outage: Callable[[Unavailable], None] | None = None,
    ) -> None:
        """`tell_outage` is called each time the ledger does not answer; without it that is logged.

        Raises:
            ConfigurationError
        """
        self._tell_outage = tell_outage or _tell_outage
        metrics.begin_at_zero(metrics.CALLBACKS, metrics.CALLBACK_OUTCOMES)
        self._database = database
        self._settings = settings
        self._sender = sender or Sender(settings)
        self._slots = Slots(settings.concurrency, settings.per_target)
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._is_stopping = False
        self._agent = f"jobresults/{version('jobresults')}"
        self._record: Batcher[tuple[Claim, Sent], str | None] = Batcher(
            self._record_together, _RECORDED_TOGETHER
        )

    def start(self) -> None:
        """Begin, in threads that do not keep the process from ending."""
        threading.Thread(target=self._run, name="callbacks", daemon=True).start()

    def stop(self, grace_seconds: float) -> None:
        """Take no more, and give those under way so long to end."""
        self._is_stopping = True
        self._wake.set()
        deadline = time.monotonic() + grace_seconds
        while self._slots.free < self._settings.concurrency and time.monotonic() < deadline:
            time.sleep(0.02)

    def deliver_due(self) -> int:
        """Take what is due and may be sent now, and begin to. Returns how many.

        Raises:
            LedgerUnavailable
        """
        with self._lock:
            has_room = self._slots.free > 0
        if not has_room:
            return 0
        targets = claims.due_targets(self._database)
        with self._lock:
            wanted = self._slots.share_out(targets)
        if not wanted:
            return 0
        lease_seconds = 2 * self._settings.timeout_seconds + _LEASE_MARGIN_SECONDS
        taken = claims.claim(self._database, wanted, lease_seconds)
        for item in taken:
            with self._lock:
                self._slots.take(item.target)
            threading.Thread(
                target=self._deliver, args=(item,), name="callback", daemon=True
            ).start()
        return len(taken)

    def _run(self) -> None:
        while not self._is_stopping:
            pause_seconds = self._settings.poll_seconds
            self._wake.clear()
            try:
                if self.deliver_due():
                    continue
            except Unavailable as error:
                self._tell_outage(error)
                pause_seconds = _REST_SECONDS
            except Exception:
                logger.exception("callbacks wait for an unforeseen error; trying again")
                pause_seconds = _REST_SECONDS
            self._wake.wait(pause_seconds)

    def _deliver(self, item: Claim) -> None:
        sent = Sent(0, error="internal error")
        with bound(job_id=item.job_id, client=item.client):
            try:
                try:
                    sent = self._attempt(item)
                except JobResultsError:
                    raise
                except Exception:
                    logger.exception("callback %s could not be sent", item.id)
                _tell(item, sent, self._record((item, sent)))
            except JobResultsError as error:
                logger.warning("callback %s will be sent again: %s", item.id, error)
            finally:
                with self._lock:
                    self._slots.give_back(item.target, ok=sent.ok)
                self._wake.set()

    def _attempt(self, item: Claim) -> Sent:
        """Send, whatever comes of it. Raises LedgerUnavailable: nothing was sent."""
        try:
            record, trace = read_record(self._database, item.job_id, self._settings)
        except NotFound:
            return Sent(0, error="the job is forgotten", stop=True)
        # Jobs that an older version took may have none.
        trace = (trace or trace_context.new_trace()).child()
        bind(request_id=record.request_id, task=record.task, trace_id=trace.trace_id)
        secrets = signing_secrets.active(self._database, item.client, item.subscription_id)
        if not secrets:  # deleted since it was claimed
            return Sent(0, record.attempt, error="there is no secret to sign with", stop=True)
        body = body_of(record, self._settings)
        timestamp = str(int(time.time()))
        keys = [signatures.key_of(secret) for secret in secrets]
        headers = {
            "Content-Type": "application/json",
            "User-Agent": self._agent,
            "webhook-id": item.id,
            "webhook-timestamp": timestamp,
            "webhook-signature": signatures.sign(keys, item.id, timestamp, body),
            **trace.headers,
        }
        span = callback_span.begin(trace, item)
        sent = self._post(item.url, body, headers, record.attempt)
        callback_span.end(span, sent)
        return sent

    def _post(self, url: str, body: bytes, headers: dict[str, str], job_attempt: int) -> Sent:
        began = time.monotonic()
        try:
            answer = self._sender.post(url, body, headers)
        except NotSent as error:
            return Sent(_since_ms(began), job_attempt, error=str(error))
        return Sent(
            _since_ms(began),
            job_attempt,
            answer.status,
            None if answer.ok else f"HTTP status {answer.status}",
            answer.retry_after_seconds,
        )

    def _record_together(
        self, results: Sequence[tuple[Claim, Sent]]
    ) -> Sequence[str | Exception | None]:
        return claims.record(self._database, self._settings, results)


def _tell_outage(error: Unavailable) -> None:
    logger.warning("callbacks wait: %s", error)


def _tell(item: Claim, sent: Sent, state: str | None) -> None:
    """Log what on-call people may need. The URL may hold a secret; its host does not."""
    host = item.target.rpartition(" ")[2]
    if state is not None:
        metrics.CALLBACKS.labels(_OUTCOMES[state]).inc()
    if state == "given_up":
        logger.error(
            "callback %s to %s is given up after %d attempts: %s",
            item.id,
            host,
            item.attempts,
            sent.error,
            extra={
                "alert_key": "callback_given_up",
                "alert_title": f"Callbacks to {host} fail",
                "alert_runbook": "callback-given-up",
            },
        )
    elif state == "stopped":
        logger.warning("callback %s to %s is stopped: %s", item.id, host, sent.error)
    elif not sent.ok:
        logger.info(
            "callback %s to %s failed, attempt %d: %s", item.id, host, item.attempts, sent.error
        )


def _since_ms(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
