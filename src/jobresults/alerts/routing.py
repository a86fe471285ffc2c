"""Whose a group is: where its messages go, who owns it, and where they lead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from string import Formatter
from urllib.parse import quote

from jobresults.alerts.links import job_page, runbook_page
from jobresults.alerts.model import Group, Links, Sample
from jobresults.settings import AlertLinksSettings, AlertRoute, AlertsSettings

SLACK, EMAIL = "slack", "email"
ANY_RUNBOOK = "unforeseen-error"
"""The page about errors that have none of their own."""

_NO_ROUTE = AlertRoute.model_construct()
SilenceLink = Callable[[Group], str | None]


def route_of(group: Group, settings: AlertsSettings) -> AlertRoute:
    """The first route that fits; one without any wish if none does."""
    return next((route for route in settings.routes if _fits(route, group.sample)), _NO_ROUTE)


def first_choice(group: Group, route: AlertRoute, sinks: frozenset[str]) -> frozenset[str]:
    """Which of the sinks there are a route's groups go to: where it says, else Slack, else any. A
    trial goes to all.
    """
    if group.is_trial:
        return sinks
    wanted = set()
    if route.slack_channel is not None:
        wanted.add(SLACK)
    if route.mail_addresses:
        wanted.add(EMAIL)
    return frozenset(wanted & sinks) or frozenset({SLACK} & sinks) or sinks


def links_of(
    group: Group,
    route: AlertRoute,
    settings: AlertLinksSettings,
    silence_link: SilenceLink | None = None,
) -> Links:
    """Where the group's messages lead."""
    return Links(
        runbook=route.runbook or _runbook(group, settings),
        job=job_page(settings.base_url, group.sample.job_id),
        sentry=_filled(settings.sentry_url, group),
        logs=_filled(settings.logs_url, group),
        silence=silence_link(group) if silence_link is not None else None,
    )


def _runbook(group: Group, settings: AlertLinksSettings) -> str | None:
    """Where the configuration says that they are read, else the service's own page."""
    if settings.runbook_url is not None:
        return _filled(settings.runbook_url, group)
    return runbook_page(settings.base_url, group.sample.runbook or ANY_RUNBOOK)


def _filled(template: str | None, group: Group) -> str | None:
    """The URL; None if it names what the group does not have."""
    if template is None:
        return None
    fields = {
        **asdict(group.sample),
        "runbook": group.sample.runbook or ANY_RUNBOOK,
        "fingerprint": group.fingerprint,
        "service": group.service,
        "environment": group.environment,
    }
    named = {part[1] for part in Formatter().parse(template) if part[1] is not None}
    if any(fields[name] is None for name in named):
        return None
    return template.format_map({name: quote(str(fields[name]), safe="") for name in named})


def _fits(route: AlertRoute, sample: Sample) -> bool:
    by_name = all(
        wanted is None or wanted == given
        for wanted, given in ((route.task, sample.task), (route.queue, sample.queue))
    )
    return by_name and (route.logger is None or f"{sample.logger}.".startswith(f"{route.logger}."))
