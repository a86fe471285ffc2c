"""Who calls, and whether the route lets them: every route declares a scope or is public."""

from __future__ import annotations

from flask import g, request

from jobresults.accounts.api_keys import KeyRing, Principal, Scope
from jobresults.errors import Forbidden, Unauthenticated
from jobresults.telemetry.logging_context import bind
from jobresults.web.services import services


def authorize(scope: Scope | None) -> None:
    """Let the request pass if its key has the scope; None lets everyone pass.

    Raises:
        Unauthenticated, Forbidden, TooManyRequests, LedgerUnavailable
    """
    if scope is not None:
        credentials = request.headers.get("Authorization", "")
        g.principal = authenticate(services().keys, credentials, scope)
        services().rates.let_in(g.principal)


def authenticate(keys: KeyRing, credentials: str, scope: Scope) -> Principal:
    """Who presents these credentials (the header `Authorization`), if their key has the scope.

    Raises:
        Unauthenticated, Forbidden, LedgerUnavailable
    """
    token = bearer_token(credentials)
    if not token:
        raise Unauthenticated("send an API key: Authorization: Bearer <key>")
    principal = keys.authenticate(token)
    bind(client=principal.client)
    if scope not in principal.scopes:
        raise Forbidden(f"this API key lacks the scope {scope.value!r}")
    return principal


def bearer_token(credentials: str) -> str:
    """What the scheme `Bearer` presents; empty if it presents nothing."""
    kind, _, token = credentials.partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""
