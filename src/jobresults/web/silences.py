"""Silences: listing, making and ending them."""

from __future__ import annotations

from flask import Response, jsonify, request

from jobresults.alerts import silences
from jobresults.web.alert_bodies import SilenceQuery, SilenceRequest
from jobresults.web.alerts import silence_document
from jobresults.web.request_body import parse, read_json
from jobresults.web.services import principal, services


def list_silences() -> Response:
    """List silences, newest first; those that are over stay for 30 days."""
    query = parse(SilenceQuery, {name: request.args[name] for name in request.args})
    found, next_cursor = silences.page(
        services().database, active=query.active, before_id=query.cursor, limit=query.limit
    )
    return jsonify(silences=[silence_document(item) for item in found], next_cursor=next_cursor)


def create_silence() -> Response:
    """Silence what matches; it is counted on, and told once the silence is over."""
    wanted = parse(SilenceRequest, read_json().document)
    made = silences.create(
        services().database, created_by=principal().client, **wanted.model_dump()
    )
    response = jsonify(silence_document(made))
    response.status_code = 201
    return response


def end_silence(silence_id: str) -> Response:
    """End a silence now; one that is over stays as it was."""
    ended = silences.end(services().database, silence_id, ended_by=principal().client)
    return jsonify(silence_document(ended))
