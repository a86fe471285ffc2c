"""API keys for admins: `/v1/api-keys`."""

from __future__ import annotations

import logging
from typing import Any

from flask import Response, jsonify, request

from jobresults.accounts import api_keys
from jobresults.accounts.api_keys import ApiKey
from jobresults.accounts.grant import Grant
from jobresults.web.account_bodies import KeyQuery, NewKeyBody
from jobresults.web.document import rfc3339
from jobresults.web.request_body import parse, read_json
from jobresults.web.services import principal, services

logger = logging.getLogger(__name__)


def list_api_keys() -> Response:
    """List API keys, oldest first, revoked ones included; never the keys themselves."""
    query = parse(KeyQuery, dict(request.args))
    found, next_cursor = api_keys.page(
        services().database, client=query.client, after=query.cursor, limit=query.limit
    )
    return jsonify(api_keys=[_document(key) for key in found], next_cursor=next_cursor)


def issue_api_key() -> Response:
    """Issue an API key; the answer is the only sight of it."""
    body = parse(NewKeyBody, read_json().document)
    token, key = api_keys.issue_key(
        services().database,
        Grant(
            body.client,
            tuple(body.scopes),
            body.customers,
            body.requests_per_second,
            body.expires_in_seconds,
        ),
    )
    logger.info("API key %s issued to %s by %s", key.prefix, key.client, principal().client)
    response = jsonify(**_document(key), key=token)
    response.status_code = 201
    return response


def revoke_api_key(key_id: str) -> Response:
    """Revoke an API key: here at once, everywhere within 5 s."""
    key = api_keys.revoke(services().database, key_id)
    services().keys.forget_all()
    logger.info("API key %s of %s revoked by %s", key.prefix, key.client, principal().client)
    return Response(status=204)


def _document(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "prefix": key.prefix,
        "client": key.client,
        "scopes": key.scopes,
        "customers": key.customers,
        "requests_per_second": key.requests_per_second,
        "created_at": rfc3339(key.created_at_ms),
        "expires_at": rfc3339(key.expires_at_ms),
        "last_used_at": rfc3339(key.last_used_at_ms),
        "revoked_at": rfc3339(key.revoked_at_ms),
    }
