"""`jobresults open`: the API's reference, a job's page, or where an alert leads, in a browser."""

from __future__ import annotations

import click

from jobresults.cli.connection import chosen_service, failures_told
from jobresults.cli.job_ids import is_job_id

_LINKS = ("runbook", "job", "sentry", "logs", "silence")


@click.command("open")
@click.argument("subject", required=False, metavar="[JOB_ID|FINGERPRINT]")
@click.option(
    "--to",
    "link",
    type=click.Choice(_LINKS),
    help="Which of the alert's links.  [default: the first there is]",
)
def open_(subject: str | None, link: str | None) -> None:
    """Open the API reference, a job's page, or where an alert leads, in a browser.

    The address is printed as well. With a JOB_ID it is the page of that job, for whoever signs in
    there; with the FINGERPRINT of an alert it is a link of its messages.
    """
    import webbrowser

    of_alert = subject is not None and not is_job_id(subject)
    if link is not None and not of_alert:
        raise click.UsageError("--to needs the fingerprint of an alert")
    if subject is None:
        url = _address("/docs")
    elif of_alert:
        url = _alert_link(subject, link)
    else:
        url = _address(f"/jobs/{subject.strip().lower()}")
    click.echo(url)
    if not webbrowser.open(url):
        click.echo("There is no browser here.", err=True)


def _address(path: str) -> str:
    """Of a page of the service that is called."""
    with failures_told():
        return f"{chosen_service().url}{path}"


def _alert_link(fingerprint: str, link: str | None) -> str:
    """As the messages about the alert have it."""
    from jobresults.alerts.links import SilenceLinks
    from jobresults.alerts.routing import links_of, route_of
    from jobresults.cli.alerts import opened_listing
    from jobresults.configuration import load_settings

    settings = load_settings().alerts
    with opened_listing() as listing:
        group = listing.get(fingerprint).tracked.group
    links = links_of(
        group, route_of(group, settings), settings.links, SilenceLinks(settings.links).url
    )
    found = {name: getattr(links, name) for name in _LINKS if link in (None, name)}
    for url in found.values():
        if url is not None and url.startswith(("https://", "http://")):
            return str(url)
    raise click.ClickException(
        f"this alert has no link to {' or '.join(found)}: see alerts.links in the configuration"
    )
