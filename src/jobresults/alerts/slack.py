"""Alerts to Slack: by an incoming webhook, or by a bot that edits its messages in place."""

from __future__ import annotations

from collections.abc import Callable

from jobresults.alerts import blocks
from jobresults.alerts.blocks import SlackMessage
from jobresults.alerts.deadline import Deadline
from jobresults.alerts.model import Kind, Notification, Receipt, SinkError
from jobresults.alerts.slack_doors import Refused, open_door
from jobresults.settings import AlertsSettings


class SlackSink:
    """As `jobresults.alerts.model.Sink`. With a bot token messages are edited and have threads;
    a webhook knows one channel, so it ignores the notification's.
    """

    name = "slack"

    def __init__(self, settings: AlertsSettings) -> None:
        self._deadline = Deadline("Slack", settings.slack.deadline_seconds)
        self._door = open_door(settings.slack)
        self.can_edit = self._door.can_edit

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
            except Refused as error:
                if not error.cannot_edit:
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
            except Refused as error:
                if error.temporary:
                    raise
                # Most likely the blocks: better plain than not at all.
                receipt = write(SlackMessage(blocks.plain_text(notification), []))
            self._reply(notification, receipt)
            return receipt

        try:
            return self._deadline.run(deliver)
        except Refused as error:
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
