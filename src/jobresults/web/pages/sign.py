"""Signing in with a browser, and out."""

from __future__ import annotations

from flask import Response, request

from jobresults.errors import Unauthenticated
from jobresults.web import login, problems
from jobresults.web.account_bodies import SignInForm
from jobresults.web.pages import session, shell
from jobresults.web.request_body import parse
from jobresults.web.services import services


def show_sign_in() -> Response:
    """Show where people sign in."""
    return _form(session.page_to_see(request.args.get("to", "")))


def sign_in() -> Response:
    """Sign in with name and password: a cookie for the pages, and on to one of them."""
    session.check_same_site()
    form = parse(SignInForm, request.form.to_dict())
    try:
        issued = services().logins.log_in(
            form.name, form.password.get_secret_value(), login.address()
        )
    except Unauthenticated as error:
        if not shell.is_wanted():
            raise
        response = _form(
            session.page_to_see(form.to), said=error.detail, name=form.name, status=error.status
        )
        response.headers["WWW-Authenticate"] = problems.CHALLENGE
        return response
    response = shell.see(session.page_to_see(form.to))
    session.begin(response, issued)
    return response


def sign_out() -> Response:
    """Sign out: the token is revoked, and the browser forgets it."""
    login.log_out()
    response = shell.see(session.SIGN_IN)
    session.end(response)
    return response


def _form(to: str, *, said: str = "", name: str = "", status: int = 200) -> Response:
    possible = bool(services().settings.accounts.token_keys)
    return shell.page("sign_in.html", status=status, to=to, said=said, name=name, possible=possible)
