"""Who calls, and whether the route lets them: every route declares a scope or is public."""

from __future__ import annotations

from flask import g, request

from jobresults.accounts.api_keys import Scope
from jobresults.errors import Forbidden, Unauthenticated
from jobresults.telemetry.logging_context import bind
from jobresults.web.services import services


def authorize(scope: Scope | None) -> None:
    """Let the request pass if its key has the scope; None lets everyone pass.

    Raises:
        Unauthenticated, Forbidden
    """
    if scope is None:
        return
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        raise Unauthenticated("send an API key: Authorization: Bearer <key>")
    g.principal = services().keys.authenticate(token.strip())
    bind(client=g.principal.client)
    if scope not in g.principal.scopes:
        raise Forbidden(f"this API key lacks the scope {scope.value!r}")
