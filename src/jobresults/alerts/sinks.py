"""The sinks there are settings for."""

from __future__ import annotations

from pkgutil import resolve_name

from jobresults.alerts.model import Sink
from jobresults.settings import AlertsSettings, Settings

_SLACK = "jobresults.alerts.slack:SlackSink"
_EMAIL = "jobresults.alerts.email:EmailSink"


def open_sinks(settings: Settings) -> list[Sink]:
    """Slack and mail, as far as they are configured. Their libraries are loaded only then."""
    classes = {"slack": _SLACK, "email": _EMAIL}
    return [resolve_name(classes[name])(settings.alerts) for name in configured(settings.alerts)]


def configured(alerts: AlertsSettings) -> list[str]:
    """The names of the sinks there are settings for."""
    has_slack = alerts.slack.webhook_url is not None or alerts.slack.bot_token is not None
    wanted = {"slack": has_slack, "email": alerts.email.host is not None}
    return [name for name, is_wanted in wanted.items() if is_wanted]


def deadline_seconds(sink: Sink, settings: Settings) -> float:
    """How long one call of a sink may take: its deadline, twice for a second try as plain text, and
    what a busy machine needs.
    """
    section = settings.alerts.email if sink.name == "email" else settings.alerts.slack
    return 2 * section.deadline_seconds + 1
