"""A person's token in a browser: a cookie that only pages take, and what keeps other sites from
pressing their buttons.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from urllib.parse import quote

from flask import Response, request

from jobresults.accounts.tokens import Issued
from jobresults.errors import Forbidden

HOME = "/jobs"
SIGN_IN = "/sign-in"
# They change nothing, so other sites may lead a browser there.
SAFE_METHODS = ("GET", "HEAD")
_PAGES = re.compile(r"/jobs(?:/[0-9a-f-]{36})?")


def token() -> str:
    """What the running request's cookie holds; empty if it has none."""
    return request.cookies.get(_cookie_name(), "")


def begin(response: Response, issued: Issued) -> None:
    """Let the browser keep a token as long as it is good."""
    _set_cookie(response, issued.text, issued.lifetime_seconds)


def end(response: Response) -> None:
    """Let the browser forget it."""
    _set_cookie(response, "", 0)


def form_token() -> str:
    """What forms on this person's pages bring along. Only who knows the cookie can make it."""
    return hmac.new(token().encode(), b"form", hashlib.sha256).hexdigest()


def check_form() -> None:
    """Raises Forbidden: the form was not on a page that this person was shown."""
    given = request.form.get("form_token", "")
    if not hmac.compare_digest(given.encode(), form_token().encode()):
        raise Forbidden("this button is of another login; open the page anew, then press it again")


def check_same_site() -> None:
    """Raises Forbidden: another site sends this form, says the browser. Browsers do say so where
    they trust the connection.
    """
    if request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        raise Forbidden("this form is of another site")


def sign_in_path(then: str) -> str:
    """Where to sign in, and go on from."""
    return f"{SIGN_IN}?to={quote(then)}"


def page_to_see(wish: str) -> str:
    """Where somebody who has signed in goes on: only to pages of ours."""
    return wish if _PAGES.fullmatch(wish) else HOME


def _cookie_name() -> str:
    # The prefix keeps neighbours below the same domain from setting it; it is for TLS only.
    return "__Host-jobresults" if request.is_secure else "jobresults"


def _set_cookie(response: Response, text: str, seconds: int) -> None:
    response.set_cookie(
        _cookie_name(),
        text,
        max_age=seconds,
        path="/",
        secure=request.is_secure,
        httponly=True,
        samesite="Lax",  # a link in a message leads here with it, a foreign form without
    )
