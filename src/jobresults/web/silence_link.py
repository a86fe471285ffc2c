"""The page behind the link in a message, where whoever got the message silences its alert.

Looking at it changes nothing: chat programs fetch every link they show. The signature is the
permission, so there is neither a key nor a session.
"""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Response, request
from markupsafe import Markup

from jobresults.alerts import silences
from jobresults.errors import NotFound, RedisUnavailable
from jobresults.web.alert_bodies import SilenceForm
from jobresults.web.request_body import parse
from jobresults.web.services import services

_PAGE = Markup("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<title>Silence an alert</title>
<link rel="icon" href="data:,">
<style>body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 3rem auto; max-width: 34rem }}
body {{ padding: 0 1rem }}
label {{ display: block; margin: 1rem 0 }} input, select, button {{ font: inherit; padding: .3rem }}
input {{ width: 100% }}</style>
</head>
<body>
{content}
</body>
</html>
""")
_FORM = Markup("""<h1>Silence this alert?</h1>
<p>{title}</p>
<p>It is counted on, and told again once the silence is over.</p>
<form method="post">
<label>For <select name="ttl"><option value="1h">1 hour</option><option value="4h">4 hours</option>
<option value="1d">1 day</option><option value="7d">7 days</option></select></label>
<label>Your name <input name="name" required maxlength="100" autocomplete="name"></label>
<label>Reason <input name="reason" maxlength="500"></label>
<button>Silence it</button>
</form>""")
_DONE = Markup("""<h1>Silenced until {until}</h1>
<p>{title}</p>
<p>To end it sooner: <code>jobresults alerts unsilence {id}</code></p>""")
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def show_silence_form() -> Response:
    """Show what the link would silence, and ask; nothing is changed."""
    return _page(_FORM.format(title=_title(_fingerprint())))


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
    return _page(_DONE.format(until=text, title=_title(fingerprint), id=made.id))


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


def _page(content: Markup) -> Response:
    return Response(_PAGE.format(content=content), mimetype="text/html", headers=_HEADERS)
