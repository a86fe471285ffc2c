"""Alerts to Slack: by an incoming webhook, or by a bot that edits its messages in place."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.webhook import WebhookClient

from jobresults.alerts import blocks
from jobresults.alerts.blocks import SlackMessage
from jobresults.alerts.deadline import Deadline
from jobresults.alerts.model import Kind, Notification, Receipt, SinkError
from jobresults.settings import AlertsSettings

# The API answers 200 to nearly everything; these of its errors go away by themselves.
_TEMPORARY = frozenset(
    {
        "ratelimited",
        "rate_limited",
        "message_limit_exceeded",
        "internal_error",
        "fatal_error",
        "service_unavailable",
        "request_timeout",
        "team_added_to_org",
    }
)
# Someone deleted the message, or it may not be edited any more: then a new one is written.
_CANNOT_EDIT = frozenset(
    {"message_not_found", "cant_update_message", "edit_window_closed", "channel_not_found"}
)
_MAX_RETRY_AFTER_SECONDS = 3_600.0


class _Refused(Exception):
    """Slack took the request and said no."""

    def __init__(self, status: int, word: str, headers: Mapping[str, Any]) -> None:
        super().__init__(f"Slack answered {status}: {word}")
        self.word = word
        self.temporary = status == 429 or status >= 500 or word in _TEMPORARY
        self.retry_after_seconds = _retry_after_seconds(headers) if self.temporary else None


class SlackSink:
    """As `jobresults.alerts.model.Sink`. With a bot token messages are edited and have threads;
    a webhook knows one channel, so it ignores the notification's.
    """

    name = "slack"

    def __init__(self, settings: AlertsSettings) -> None:
        slack = settings.slack
        self._deadline = Deadline("Slack", slack.deadline_seconds)
        self._door: _Door
        if slack.bot_token is not None:
            self.can_edit = True
            self._door = _Bot(
                slack.bot_token.get_secret_value(),
                slack.api_url,
                slack.channel or "",
                slack.deadline_seconds,
            )
        elif slack.webhook_url is not None:
            self.can_edit = False
            self._door = _Webhook(slack.webhook_url.get_secret_value(), slack.deadline_seconds)
        else:
            raise ValueError("alerts.slack needs webhook_url or bot_token")

    def send(self, notification: Notification) -> Receipt:
        """Write a new message.

        Raises:
            SinkError
        """
        channel = notification.slack_channel
        return self._deliver(
            notification, lambda message: self._door.post(message, channel=channel, thread=None)
        )

    def update(self, notification: Notification, receipt: Receipt) -> Receipt:
        """Edit the message; if it is gone write a new one. RESOLVED also answers in the thread.

        Raises:
            SinkError
        """
        if not self.can_edit or receipt.message_id is None or receipt.channel is None:
            return self.send(notification)
        channel, ts = receipt.channel, receipt.message_id

        def edit(message: SlackMessage) -> Receipt:
            try:
                return self._door.edit(message, channel=channel, ts=ts)
            except _Refused as error:
                if error.word not in _CANNOT_EDIT:
                    raise
            return self._door.post(message, channel=notification.slack_channel, thread=None)

        return self._deliver(notification, edit)

    def _deliver(
        self, notification: Notification, write: Callable[[SlackMessage], Receipt]
    ) -> Receipt:
        message = blocks.message(notification)

        def deliver() -> Receipt:
            try:
                receipt = write(message)
            except _Refused as error:
                if error.temporary:
                    raise
                # Most likely the blocks: better plain than not at all.
                receipt = write(SlackMessage(blocks.plain_text(notification), []))
            self._reply(notification, receipt)
            return receipt

        try:
            return self._deadline.run(deliver)
        except _Refused as error:
            raise SinkError(
                str(error),
                permanent=not error.temporary,
                retry_after_seconds=error.retry_after_seconds,
            ) from None
        except SinkError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever urllib and the network come up with
            # Only its name: its text, and its context in a traceback, may show the webhook's URL.
            raise SinkError(f"Slack is out of reach: {type(error).__name__}") from None

    def _reply(self, notification: Notification, receipt: Receipt) -> None:
        if notification.kind is Kind.RESOLVED and self.can_edit:
            text = blocks.thread_reply(notification.entries[0])
            self._door.post(
                SlackMessage(text, []), channel=receipt.channel, thread=receipt.message_id
            )


class _Door(Protocol):
    """A way into Slack.

    Raises:
        _Refused: and whatever the network raises.
    """

    def post(self, message: SlackMessage, *, channel: str | None, thread: str | None) -> Receipt:
        """Write a message."""
        ...

    def edit(self, message: SlackMessage, *, channel: str, ts: str) -> Receipt:
        """Change a message."""
        ...


class _Webhook:
    """An incoming webhook: it can write, and neither edit nor answer."""

    def __init__(self, url: str, timeout_seconds: float) -> None:
        self._client = WebhookClient(
            url, timeout=_whole(timeout_seconds), retry_handlers=[], logger=_silent_logger()
        )

    def post(self, message: SlackMessage, *, channel: str | None, thread: str | None) -> Receipt:
        response = self._client.send(
            text=message.text, blocks=message.blocks or None, unfurl_links=False
        )
        body = response.body.strip()
        if response.status_code != 200 or body.startswith("<"):
            # Slack leads a wrong address to a web page, which answers 200.
            word = "a web page; check alerts.slack.webhook_url" if body.startswith("<") else body
            raise _Refused(response.status_code, word[:100], response.headers)
        return Receipt()

    def edit(self, message: SlackMessage, *, channel: str, ts: str) -> Receipt:
        return self.post(message, channel=channel, thread=None)


class _Bot:
    """A bot's token with chat:write."""

    def __init__(self, token: str, api_url: str, channel: str, timeout_seconds: float) -> None:
        self._channel = channel
        self._client = WebClient(
            token,
            base_url=api_url,
            timeout=_whole(timeout_seconds),
            retry_handlers=[],
            logger=_silent_logger(),
        )

    def post(self, message: SlackMessage, *, channel: str | None, thread: str | None) -> Receipt:
        return self._call(
            "chat.postMessage",
            message,
            channel=channel or self._channel,
            unfurl_links=False,
            **({"thread_ts": thread} if thread else {}),
        )

    def edit(self, message: SlackMessage, *, channel: str, ts: str) -> Receipt:
        return self._call("chat.update", message, channel=channel, ts=ts)

    def _call(self, method: str, message: SlackMessage, **members: Any) -> Receipt:
        body = {"text": message.text, "blocks": message.blocks, **members}
        try:
            response = self._client.api_call(method, json=body)
        except SlackApiError as error:
            answer = error.response
            word = str(answer.get("error", "")) if isinstance(answer.data, dict) else ""
            raise _Refused(answer.status_code, word[:100], answer.headers) from None
        return Receipt(channel=response["channel"], message_id=response["ts"])


def _silent_logger() -> logging.Logger:
    """slack_sdk logs its failures, with URLs; ours is outside of the tree, and says nothing."""
    logger = logging.Logger("slack_sdk", logging.CRITICAL + 1)
    logger.disabled = True
    return logger


def _whole(seconds: float) -> int:
    return max(1, round(seconds))


def _retry_after_seconds(headers: Mapping[str, Any]) -> float | None:
    """Seconds or a date (RFC 9110, 10.2.3); None if neither."""
    value = next((str(text) for name, text in headers.items() if name.lower() == "retry-after"), "")
    if value.strip().isdecimal():
        return min(float(value), _MAX_RETRY_AFTER_SECONDS)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return min(max(0.0, (at - datetime.now(UTC)).total_seconds()), _MAX_RETRY_AFTER_SECONDS)
