"""Callbacks: who subscribes to them, what signs them, and what became of each."""

from __future__ import annotations

from typing import Any

from flask import Response, jsonify, request

from jobresults.accounts.principal import Principal
from jobresults.errors import Forbidden, NotFound
from jobresults.jobs.reading import UUID
from jobresults.web.callback_bodies import CallbackQuery, SubscribeBody
from jobresults.web.document import rfc3339
from jobresults.web.request_body import parse, read_json
from jobresults.web.services import principal, read_job, services
from jobresults.webhooks import delivery_log, signing_secrets, subscriptions
from jobresults.webhooks.delivery_log import Callback
from jobresults.webhooks.signing_secrets import NewSecret
from jobresults.webhooks.subscriptions import Subscription
from jobresults.webhooks.targets import check_url


def subscribe() -> Response:
    """Subscribe a URL to the ends of this client's jobs."""
    body = parse(SubscribeBody, read_json().document)
    check_url(body.url, services().settings.callbacks, field="url")
    made, secret = subscriptions.subscribe(
        services().database, _whole_client().client, body.url, body.events
    )
    response = jsonify(_subscription(made) | {"secret": secret})
    response.status_code = 201
    response.headers["Location"] = f"/v1/callback-subscriptions/{made.id}"
    return response


def list_subscriptions() -> Response:
    """List the subscriptions."""
    found = subscriptions.of_client(services().database, _whole_client().owner)
    return jsonify(subscriptions=[_subscription(item) for item in found])


def get_subscription(subscription_id: str) -> Response:
    """Read a subscription."""
    return jsonify(_subscription(_find(subscription_id)))


def unsubscribe(subscription_id: str) -> Response:
    """Delete a subscription; what waits to be sent to it is not sent."""
    subscriptions.unsubscribe(services().database, _known(subscription_id), _whole_client().owner)
    return Response(status=204)


def rotate_subscription_secret(subscription_id: str) -> Response:
    """Replace the secret of a subscription; the one before it signs too for a while."""
    found = _find(subscription_id)
    return _rotate(found.client, found.id)


def rotate_callback_secret() -> Response:
    """Make or replace the secret that signs callbacks to the URLs that jobs name."""
    return _rotate(_whole_client().client, None)


def list_callbacks() -> Response:
    """List callbacks, newest first."""
    query = parse(CallbackQuery, request.args.to_dict())
    found, next_cursor = delivery_log.page(
        services().database,
        _whole_client().owner,
        state=query.state,
        before_id=query.cursor,
        limit=query.limit,
    )
    return jsonify(callbacks=[_callback(item) for item in found], next_cursor=next_cursor)


def job_callbacks(job_id: str) -> Response:
    """Read a job's callbacks and what was tried to deliver them."""
    record = read_job(job_id)
    found = delivery_log.of_job(services().database, record.id)
    return jsonify(callbacks=[_with_log(item) for item in found])


def get_callback(callback_id: str) -> Response:
    """Read a callback and what was tried to deliver it."""
    found = delivery_log.get(services().database, _known(callback_id), _whole_client().owner)
    return jsonify(_with_log(found))


def redeliver_callback(callback_id: str) -> Response:
    """Send a callback now, whatever became of it."""
    delivery_log.redeliver(services().database, _known(callback_id), _whole_client().owner)
    response = get_callback(callback_id)
    response.status_code = 202
    return response


def _rotate(client: str, subscription_id: str | None) -> Response:
    made: NewSecret = signing_secrets.rotate(
        services().database,
        client,
        subscription_id,
        services().settings.callbacks.secret_overlap_seconds,
    )
    return jsonify(secret=made.secret, previous_retires_at=rfc3339(made.retires_at_ms))


def _whole_client() -> Principal:
    """The caller, if its key is for all of its client's customers: so is what these routes tell."""
    caller = principal()
    if caller.customers is not None:
        raise Forbidden(
            "this API key is for some customers only; callbacks are told of all of a client's jobs"
        )
    return caller


def _find(subscription_id: str) -> Subscription:
    return subscriptions.get(services().database, _known(subscription_id), _whole_client().owner)


def _known(id_: str) -> str:
    """The id, if it can be one; to the database it must be a UUID."""
    if not UUID.fullmatch(id_):
        raise NotFound("there is nothing with this id")
    return id_


def _subscription(found: Subscription) -> dict[str, Any]:
    return {
        "subscription_id": found.id,
        "url": found.url,
        "events": found.events.split(),
        "created_at": rfc3339(found.created_at_ms),
        "disabled_at": rfc3339(found.disabled_at_ms),
    }


def _callback(found: Callback) -> dict[str, Any]:
    return {
        "callback_id": found.id,
        "job_id": found.job_id,
        "subscription_id": found.subscription_id,
        "url": found.url,
        "event": found.event,
        "state": found.state,
        "attempts": found.attempts,
        "created_at": rfc3339(found.created_at_ms),
        "next_attempt_at": None if found.ended_at_ms else rfc3339(found.due_at_ms),
        "ended_at": rfc3339(found.ended_at_ms),
    }


def _with_log(found: Callback) -> dict[str, Any]:
    log = [{**entry, "at": rfc3339(entry["at_ms"])} for entry in found.log]
    for entry in log:
        del entry["at_ms"]
    return _callback(found) | {"log": log}
