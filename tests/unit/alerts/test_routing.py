"""Where a group's messages go, and where they lead."""

from __future__ import annotations

from typing import Any

import pytest

from jobresults.alerts.model import Group, Sample, Severity
from jobresults.alerts.routing import first_choice, links_of, route_of
from jobresults.settings import AlertLinksSettings, AlertRoute, AlertsSettings

BOTH = {"mail_addresses": ["a@x"], "slack_channel": "#a"}


def group(**sample: Any) -> Group:
    about = Sample(**{"title": "t", "message": "m", "logger": "a.b", **sample})
    return Group("f1", Severity.ERROR, "jobs", "production", 1, 1, 1, about)


def test_the_first_route_of_which_all_names_fit_holds() -> None:
    both = AlertRoute(task="score", queue="fast", owner="both")
    task = AlertRoute(task="score", owner="task")
    below = AlertRoute(logger="a", owner="below a")
    settings = AlertsSettings(routes=(both, task, below))
    assert route_of(group(task="score", queue="fast"), settings).owner == "both"
    assert route_of(group(task="score", queue="slow"), settings).owner == "task"
    assert route_of(group(), settings).owner == "below a"
    assert route_of(group(logger="ab"), settings).owner is None


@pytest.mark.parametrize(
    ("route", "sinks", "chosen"),
    [
        ({}, {"slack", "email"}, {"slack"}),
        ({}, {"email"}, {"email"}),
        ({"mail_addresses": ["a@x"]}, {"slack", "email"}, {"email"}),
        (
            {"mail_addresses": ["a@x"], "slack_channel": "#a"},
            {"slack", "email"},
            {"slack", "email"},
        ),
        ({"mail_addresses": ["a@x"]}, {"slack"}, {"slack"}),
        ({"slack_channel": "#a"}, {"email"}, {"email"}),
        ({}, set(), set()),
    ],
)
def test_a_route_chooses_among_the_sinks_there_are(
    route: dict[str, Any], sinks: set[str], chosen: set[str]
) -> None:
    assert first_choice(group(), AlertRoute(task="t", **route), frozenset(sinks)) == chosen


def test_links_are_filled_and_quoted_and_left_out_if_something_is_missing() -> None:
    settings = AlertLinksSettings(
        base_url="https://jobs/",
        logs_url="https://logs/?q={request_id}&s={service}",
        runbook_url="https://wiki/{task}",
        sentry_url="https://sentry/{sentry_event_id}",
    )
    links = links_of(
        group(request_id="r 1&x", job_id="j1", task="score"),
        AlertRoute.model_construct(),
        settings,
        lambda group: f"https://silence/{group.fingerprint}",
    )
    assert links.job == "https://jobs/jobs/j1"
    assert links.logs == "https://logs/?q=r%201%26x&s=jobs"
    assert links.runbook == "https://wiki/score"
    assert links.sentry is None
    assert links.silence == "https://silence/f1"
    route = AlertRoute(task="score", runbook="https://own")
    assert links_of(group(), route, settings).runbook == "https://own"
    assert links_of(group(), AlertRoute.model_construct(), AlertLinksSettings()).job is None


def test_the_page_of_an_incident_is_linked_and_one_for_all_that_have_none() -> None:
    settings = AlertLinksSettings(runbook_url="https://docs/runbooks/{runbook}.md")
    route = AlertRoute.model_construct()
    ours = group(runbook="no-workers")
    assert links_of(ours, route, settings).runbook == "https://docs/runbooks/no-workers.md"
    other = links_of(group(), route, settings)
    assert other.runbook == "https://docs/runbooks/unforeseen-error.md"
    own = AlertRoute(queue="q", runbook="https://own")
    assert links_of(ours, own, settings).runbook == "https://own"


def test_without_an_address_of_theirs_runbooks_are_read_at_the_service() -> None:
    settings = AlertLinksSettings(base_url="https://jobs/")
    route = AlertRoute.model_construct()
    pages = "https://jobs/docs/runbooks"
    assert links_of(group(runbook="no-workers"), route, settings).runbook == f"{pages}/no-workers"
    assert links_of(group(), route, settings).runbook == f"{pages}/unforeseen-error"
    assert links_of(group(runbook="my-page"), route, settings).runbook is None
    assert links_of(group(), route, AlertLinksSettings()).runbook is None


@pytest.mark.parametrize("url", ["https://l/{nothing}", "https://l/{", "https://l/{}"])
def test_a_link_with_an_unknown_field_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="logs_url"):
        AlertLinksSettings(logs_url=url)
