"""`jobresults open`: the API's reference, or where an alert leads, in a browser."""

from __future__ import annotations

import click

from jobresults.cli.connection import chosen_service, failures_told

_LINKS = ("runbook", "sentry", "logs", "silence")


@click.command("open")
@click.argument("fingerprint", required=False)
@click.option(
    "--to",
    "link",
    type=click.Choice(_LINKS),
    help="Which of the alert's links.  [default: the first there is]",
)
def open_(fingerprint: str | None, link: str | None) -> None:
    """Open the API reference, or where an alert leads, in a browser.

    The address is printed as well. With the FINGERPRINT of an alert it is a link of its messages.
    """
    import webbrowser

    if fingerprint is None:
        if link is not None:
            raise click.UsageError("--to needs the fingerprint of an alert")
        with failures_told():
            url = f"{chosen_service().url}/docs"
    else:
        url = _alert_link(fingerprint, link)
    click.echo(url)
    if not webbrowser.open(url):
        click.echo("There is no browser here.", err=True)


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
