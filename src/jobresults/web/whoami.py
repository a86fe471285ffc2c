"""What the service makes of the credentials that a request brings."""

from __future__ import annotations

from flask import Response, jsonify

from jobresults.web.services import principal


def who_am_i() -> Response:
    """Tell whose these credentials are and what they allow."""
    caller = principal()
    return jsonify(
        client=caller.client,
        user_id=caller.person_id,
        scopes=sorted(caller.scopes),
        customers=None if caller.customers is None else sorted(caller.customers),
        requests_per_second=caller.requests_per_second,
    )
