"""The page behind the link in a message, where whoever got the message silences its alert.

Looking at it changes nothing: chat programs fetch every link they show. The signature is the
permission, so there is neither a key nor a session.
"""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Response, request

from jobresults.alerts import silences
from jobresults.errors import NotFound, RedisUnavailable
from jobresults.web.alert_bodies import SilenceForm
from jobresults.web.pages import shell
from jobresults.web.request_body import parse
from jobresults.web.services import services


def show_silence_form() -> Response:
    """Show what the link would silence, and ask; nothing is changed."""
    return shell.page("silence.html", title=_title(_fingerprint()))


def silence_by_link() -> Response:
    """Silence the link's alert, as a person has confirmed."""
    fingerprint = _fingerprint()
    form = parse(SilenceForm, request.form.to_dict())
    made = silences.create(
        services().database,
        fingerprint=fingerprint,
        ttl=form.ttl,
        reason=form.reason,
        created_by=f"{form.name} (by link)",
    )
    until = datetime.fromtimestamp(made.expires_at_ms / 1000, UTC)
    text = f"{until:%Y-%m-%d %H:%M} UTC"
    return shell.page("silenced.html", until=text, title=_title(fingerprint), id=made.id)


def _fingerprint() -> str:
    """Of the alert that the link is for.

    Raises:
        NotFound: not one of ours, or too old.
    """
    given = [request.args.get(name, "") for name in ("fingerprint", "expires", "signature")]
    if not services().silence_links.is_valid(*given):
        raise NotFound("this link is wrong or too old; newer messages have another")
    return given[0]


def _title(fingerprint: str) -> str:
    try:
        return services().alerts.get(fingerprint).tracked.group.sample.title
    except (NotFound, RedisUnavailable):
        return f"Alert {fingerprint}"
