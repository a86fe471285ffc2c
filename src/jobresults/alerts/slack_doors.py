"""The two ways into Slack: an incoming webhook, and the API with a bot's token. No retries."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Protocol

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError
from slack_sdk.webhook import WebhookClient

from jobresults.alerts.blocks import SlackMessage
from jobresults.alerts.model import Receipt
from jobresults.alerts.phrases import line
from jobresults.settings import SlackSettings

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


class Refused(Exception):
    """Slack took the request and said no."""

    def __init__(self, status: int, word: str, headers: Mapping[str, Any]) -> None:
        super().__init__(f"Slack answered {status}: {word}")
        self.cannot_edit = word in _CANNOT_EDIT
        self.temporary = status == 429 or status >= 500 or word in _TEMPORARY
        self.retry_after_seconds = _retry_after_seconds(headers) if self.temporary else None


class Door(Protocol):
    """A way into Slack.

    Raises:
        Refused: and whatever the network raises.
    """

    can_edit: bool

    def post(self, message: SlackMessage, *, channel: str | None, thread: str | None) -> Receipt:
        """Write a message."""
        ...

    def edit(self, message: SlackMessage, *, channel: str, ts: str) -> Receipt:
        """Change a message."""
        ...


def open_door(settings: SlackSettings) -> Door:
    """The bot's, if there is a token.

    Raises:
        ValueError: there is neither a token nor a webhook.
    """
    if settings.bot_token is not None:
        return Bot(settings)
    if settings.webhook_url is not None:
        return Webhook(settings.webhook_url.get_secret_value(), settings.deadline_seconds)
    raise ValueError("alerts.slack needs webhook_url or bot_token")


class Webhook:
    """An incoming webhook: it can write, and neither edit nor answer."""

    can_edit = False

    def __init__(self, url: str, timeout_seconds: float) -> None:
        self._client = WebhookClient(
            url, timeout=_whole(timeout_seconds), retry_handlers=[], logger=_silent_logger()
        )

    def post(self, message: SlackMessage, *, channel: str | None, thread: str | None) -> Receipt:
        response = self._client.send(
            text=message.text, blocks=message.blocks or None, unfurl_links=False
        )
        if response.status_code != 200:
            raise Refused(response.status_code, line(response.body, 100), response.headers)
        if response.body.lstrip().startswith("<"):  # where Slack leads a wrong address to
            raise Refused(200, "a web page; check alerts.slack.webhook_url", response.headers)
        return Receipt()

    def edit(self, message: SlackMessage, *, channel: str, ts: str) -> Receipt:
        return self.post(message, channel=channel, thread=None)


class Bot:
    """A bot's token with chat:write."""

    can_edit = True

    def __init__(self, settings: SlackSettings) -> None:
        assert settings.bot_token is not None
        self._channel = settings.channel or ""
        self._client = WebClient(
            settings.bot_token.get_secret_value(),
            base_url=settings.api_url,
            timeout=_whole(settings.deadline_seconds),
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
            raise Refused(answer.status_code, line(word, 100), answer.headers) from None
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
