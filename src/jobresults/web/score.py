"""`GET /score?cust_id=`: the latest finished score of a customer."""

from __future__ import annotations

from flask import Response, request

from jobresults.errors import InvalidRequest, NotFound
from jobresults.jobs import reading
from jobresults.jobs.states import State
from jobresults.web.request_body import customer_name
from jobresults.web.results import pending_response, result_response
from jobresults.web.services import owner, services


def get_score() -> Response:
    """Fetch a customer's latest score."""
    customer = request.args.get("cust_id", "")
    if not customer:
        raise InvalidRequest("Pass cust_id", [{"path": "cust_id", "message": "Pass cust_id"}])
    for states, respond in (
        ((State.SUCCEEDED,), result_response),
        ((State.QUEUED, State.RUNNING), pending_response),
    ):
        record = reading.latest_of_customer(
            services().database,
            task=services().settings.tasks.score,
            customer=customer_name(customer),
            owner=owner(),
            states=states,
        )
        if record is not None:
            return respond(record)
    raise NotFound("this customer was never scored; submit messages to /add/<customer> first")
