"""People at the door: `POST /register`, `/login` and `/logout`."""

from __future__ import annotations

from flask import Response, jsonify, request

from jobresults.errors import Conflict
from jobresults.web.account_bodies import LoginBody, RegisterBody
from jobresults.web.request_body import parse, read_json
from jobresults.web.services import principal, services
from jobresults.web.users import user_document


def register() -> Response:
    """Make an account for oneself, if registration is open."""
    body = parse(RegisterBody, read_json().document)
    made = services().logins.register(body.name, body.password.get_secret_value(), address())
    response = jsonify(user_document(made))
    response.status_code = 201
    response.headers["Location"] = f"/user/{made.id}"
    return response


def log_in() -> Response:
    """Get a token for a name and a password."""
    body = parse(LoginBody, read_json().document)
    issued = services().logins.log_in(body.name, body.password.get_secret_value(), address())
    return jsonify(token=issued.text, token_type="Bearer", expires_in=issued.lifetime_seconds)  # nosec B106  # noqa: S106 - the kind, no password


def log_out() -> Response:
    """Revoke the token that the request itself brings."""
    token_id = principal().token_id
    if token_id is None:
        raise Conflict("an API key cannot log out; DELETE /v1/api-keys/<id> revokes it")
    services().logins.log_out(token_id)
    services().keys.forget_all()
    return Response(status=204)


def address() -> str:
    """Where the running request comes from."""
    return request.remote_addr or "unknown"
