"""The configured senders of webhooks, checked when the service starts, and the job that a webhook
becomes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jobresults.errors import ConfigurationError, UnknownTask
from jobresults.jobs.catalog import Catalog, Task
from jobresults.jobs.new_job import Submission
from jobresults.settings import WebhookSource, WebhooksSettings
from jobresults.webhooks.paths import ABSENT, Path, parse_path
from jobresults.webhooks.verification import Delivery, Verify, verifier

_OF_HMAC = ("header", "encoding", "prefix")


@dataclass(frozen=True)
class Source:
    """One of them, ready to use."""

    settings: WebhookSource
    verify: Verify
    params: Mapping[str, Path]
    customer: Path | None
    match: Mapping[str, tuple[Path, str]]
    event: Path | None

    def is_ping(self, delivery: Delivery) -> bool:
        """Whether it only asks if we are there."""
        return self.settings.kind == "github" and delivery.event == "ping"

    def wants(self, delivery: Delivery, payload: Any) -> bool:
        """Whether it is one of the events that become jobs."""
        event = delivery.event
        if event is None and self.event is not None:
            found = self.event.pick(payload)
            event = found if isinstance(found, str) else None
        if self.settings.events and event not in self.settings.events:
            return False
        return all(path.pick(payload) == wanted for path, wanted in self.match.values())

    def submission(self, delivery: Delivery, payload: Any) -> Submission:
        """The job it becomes; repetitions of it become the same job, for as long as
        `jobs.idempotency_ttl_seconds`.
        """
        picked = {name: path.pick(payload) for name, path in self.params.items()}
        customer = ABSENT if self.customer is None else self.customer.pick(payload)
        params = {name: value for name, value in picked.items() if value is not ABSENT}
        return Submission(
            task=self.settings.task,
            params_json=json.dumps(params, separators=(",", ":"), sort_keys=True).encode(),
            client=self.settings.client,
            customer=str(customer) if isinstance(customer, str | int) else None,
            tags=(f"webhook:{self.settings.name}",),
            idempotency_key=f"webhook:{self.settings.name}:{delivery.key}",
        )


def load_sources(settings: WebhooksSettings, catalog: Catalog) -> dict[str, Source]:
    """All sources by name.

    Raises:
        ConfigurationError: names each wrong key, what is wrong with it and what to do.
    """
    problems = [
        f"webhooks.sources[{place}].{problem}"
        for place, source in enumerate(settings.sources)
        for problem in _problems(source, catalog)
    ]
    names = [source.name for source in settings.sources]
    problems += [
        f"webhooks.sources: two are named {name!r}; rename one"
        for name in sorted({name for name in names if names.count(name) > 1})
    ]
    if problems:
        raise ConfigurationError("\n".join(problems))
    return {source.name: _source(source) for source in settings.sources}


def _source(source: WebhookSource) -> Source:
    event = source.event or ("type" if source.kind == "standard" else None)
    return Source(
        source,
        verifier(source),
        {name: parse_path(text) for name, text in source.params.items()},
        None if source.customer is None else parse_path(source.customer),
        {text: (parse_path(text), wanted) for text, wanted in source.match.items()},
        None if event is None else parse_path(event),
    )


def _problems(source: WebhookSource, catalog: Catalog) -> Iterator[str]:
    for key, text in _paths(source):
        try:
            parse_path(text)
        except ValueError as error:
            yield f"{key}: {error}"
    try:
        verifier(source)
    except ValueError as error:
        yield f"secrets: each {error}"
    yield from _problems_of_kind(source)
    try:
        yield from _problems_of_params(source, catalog.get(source.task))
    except UnknownTask as error:
        yield f"task: {error.detail}"


def _paths(source: WebhookSource) -> Iterator[tuple[str, str]]:
    yield from ((f"params.{name}", text) for name, text in source.params.items())
    yield from ((f"match.{text}", text) for text in source.match)
    yield from (
        (key, text)
        for key, text in (("customer", source.customer), ("event", source.event))
        if text is not None
    )


def _problems_of_kind(source: WebhookSource) -> Iterator[str]:
    if source.kind == "hmac" and not source.header:
        yield "header: name the header that holds the signature"
    if source.kind != "hmac":
        yield from (
            f"{key}: only sources of kind hmac have it; leave it out"
            for key in _OF_HMAC
            if key in source.model_fields_set
        )
    if source.kind == "hmac" and source.events and source.event is None:
        yield "event: name the path of the event in the payload, or leave out events"
    if source.kind == "github" and source.event is not None:
        yield "event: GitHub tells it in a header; leave it out"
    if source.allow_sha1 and source.kind != "github":
        yield "allow_sha1: only sources of kind github have it; leave it out"


def _problems_of_params(source: WebhookSource, task: Task) -> Iterator[str]:
    known = task.params_schema.get("properties", {})
    for name in source.params:
        if name not in known:
            valid = ", ".join(known) or "none"
            yield f"params.{name}: task {task.name!r} has no such parameter; it has: {valid}"
    for name in task.params_schema.get("required", ()):
        if name not in source.params:
            yield f"params: task {task.name!r} needs {name!r}; say where it stands in the payload"
