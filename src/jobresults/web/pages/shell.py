"""How every page is made: one look, one policy for browsers, and refusals that people can read."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import Any

from flask import Response, g, request
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from jobresults.accounts.principal import Principal
from jobresults.errors import JobResultsError, Unauthenticated
from jobresults.telemetry.control_characters import escape, escape_but_lines
from jobresults.web import problems
from jobresults.web.pages import session
from jobresults.web.pages.durations import clock

_PROBLEM = "application/problem+json"


def page(template: str, *, status: int = 200, **shown: Any) -> Response:
    """A page of a template and what it shows; all of that is escaped."""
    caller: Principal | None = g.get("principal")
    text = (
        _templates()
        .get_template(template)
        .render(
            style=_style(),
            client=None if caller is None else caller.client,
            form_token=None if caller is None else session.form_token(),
            **shown,
        )
    )
    return Response(text, status, {"Content-Security-Policy": _policy()}, mimetype="text/html")


def see(path: str) -> Response:
    """On to another page, which is fetched by GET; without a body."""
    response = Response(status=303)
    response.headers["Location"] = path
    return response


def is_wanted() -> bool:
    """Whether the running request rather takes a page than a problem document: a browser does."""
    return request.accept_mimetypes.best_match([_PROBLEM, "text/html"]) == "text/html"


def refusal(error: JobResultsError) -> Response:
    """What a browser shows instead of a page: the way to sign in, or what is wrong."""
    if isinstance(error, Unauthenticated):
        # Behind a button there is no page: its form stands on the one above.
        path = (
            request.path
            if request.method in session.SAFE_METHODS
            else request.path.rpartition("/")[0]
        )
        return see(session.sign_in_path(path))
    reply = problems.reply_to(error, request.method, request.path)
    response = page("refusal.html", status=reply.status, problem=json.loads(reply.body))
    response.headers.extend(reply.headers)
    return response


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["line"] = escape
    environment.filters["lines"] = escape_but_lines
    environment.filters["clock"] = clock
    return environment


@cache
def _style() -> Markup:
    text = (files(__package__) / "templates/style.css").read_text(encoding="utf-8")
    return Markup(text)  # nosec B704  # noqa: S704 - ours


@cache
def _policy() -> str:
    """Nothing but this very style sheet; forms go to this service."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
