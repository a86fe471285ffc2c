"""Who calls, and whether the route lets them: every route declares who may call it."""

from __future__ import annotations

from flask import g, request

from jobresults.accounts.key_ring import KeyRing
from jobresults.accounts.principal import Principal, Scope
from jobresults.errors import Forbidden, Unauthenticated
from jobresults.telemetry.logging_context import bind
from jobresults.web.pages import session
from jobresults.web.routing import ANYONE_KNOWN, PUBLIC, Access
from jobresults.web.services import services


def authorize(access: Access, *, by_cookie: bool = False) -> None:
    """Let the request pass if its caller has the scope that the route wants. `by_cookie`: the route
    is a page, to which browsers bring a cookie instead; its forms must be of a page of ours.

    Raises:
        Unauthenticated, Forbidden, TooManyRequests, LedgerUnavailable
    """
    if access is not PUBLIC:
        credentials = request.headers.get("Authorization", "")
        scope = None if access is ANYONE_KNOWN else Scope(access)
        from_browser = by_cookie and not credentials
        if from_browser:
            credentials = f"Bearer {session.token()}"
        g.principal = authenticate(services().keys, credentials, scope)
        services().rates.let_in(g.principal)
        if from_browser and request.method not in session.SAFE_METHODS:
            session.check_form()


def authenticate(keys: KeyRing, credentials: str, scope: Scope | None) -> Principal:
    """Who presents these credentials (the header `Authorization`), if they have the scope; None:
    whoever they are.

    Raises:
        Unauthenticated, Forbidden, LedgerUnavailable
    """
    token = bearer_token(credentials)
    if not token:
        raise Unauthenticated("send an API key or a token of /login: Authorization: Bearer <key>")
    principal = keys.authenticate(token)
    bind(client=principal.client)
    if scope is not None and scope not in principal.scopes:
        raise Forbidden(f"these credentials lack the scope {scope.value!r}")
    return principal


def bearer_token(credentials: str) -> str:
    """What the scheme `Bearer` presents; empty if it presents nothing."""
    kind, _, token = credentials.partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""
