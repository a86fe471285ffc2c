"""Which operations an answer leads to, for the OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jobresults.web.bodies import JobBody, LogPage
from jobresults.web.routing import Answer, Route


def links_from(route: Route, answer: Answer, routes: Iterable[Route]) -> dict[str, Any]:
    """From a job to all that can be done with it; from log lines to the next; from a customer's
    data to its score.
    """
    links: dict[str, Any] = {}
    for other in routes:
        if answer.model is JobBody and "job_id" in _named(other):
            links[other.operation_id] = _link(other, job_id="$response.body#/job_id")
        if answer.model is JobBody and "cust_id" in other.parameters:
            customer = _customer(route)
            if customer is not None:
                links[other.operation_id] = _link(other, cust_id=customer)
    if answer.model is LogPage:
        following = {"job_id": "$request.path.job_id", "after": "$response.body#/next_after"}
        links["next"] = _link(route, **following)
    return links


def _named(route: Route) -> set[str]:
    return {*route.path_variables, *route.parameters}


def _customer(route: Route) -> str | None:
    if "customer" in route.path_variables:
        return "$request.path.customer"
    if route.body is not None and "cust_id" in route.body.model_fields:
        return "$request.body#/cust_id"
    return None


def _link(to: Route, **parameters: str) -> dict[str, Any]:
    return {"operationId": to.operation_id, "parameters": parameters}
