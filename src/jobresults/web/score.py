"""`GET /score?cust_id=`: the latest finished score of a customer."""

from __future__ import annotations

from flask import Response, request

from jobresults.errors import InvalidRequest, NotFound
from jobresults.jobs import reading
from jobresults.jobs.reading import JobRecord
from jobresults.jobs.states import State
from jobresults.web.request_body import customer_name
from jobresults.web.results import pending_reply, result_reply
from jobresults.web.services import principal, services, visible


def get_score() -> Response:
    """Fetch a customer's latest score."""
    customer = request.args.get("cust_id", "")
    if not customer:
        raise InvalidRequest("Pass cust_id", [{"path": "cust_id", "message": "Pass cust_id"}])
    if (record := _latest(customer, State.SUCCEEDED)) is not None:
        return result_reply(record, request.headers.get("If-None-Match")).response()
    if (record := _latest(customer, State.QUEUED, State.RUNNING)) is not None:
        return pending_reply(services(), principal(), record).response()
    raise NotFound("this customer was never scored; submit messages to /add/<customer> first")


def _latest(customer: str, *states: State) -> JobRecord | None:
    return reading.latest_of_customer(
        services().database,
        task=services().settings.tasks.score,
        customer=customer_name(customer),
        visible=visible(),
        states=states,
    )
