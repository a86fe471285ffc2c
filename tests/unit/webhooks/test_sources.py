"""The configured sources are checked when the service starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from jobresults.configuration import load_settings
from jobresults.errors import ConfigurationError
from jobresults.jobs.catalog import load_catalog
from jobresults.settings import WebhooksSettings
from jobresults.webhooks.sources import Source, load_sources
from jobresults.webhooks.verification import Delivery

CATALOG = load_catalog(["tests.support.sample_tasks"])
GOOD = {
    "name": "forge",
    "kind": "github",
    "secrets": ["It's a Secret to Everybody"],
    "task": "echo",
    "client": "acme",
    "params": {"value": "repository.full_name"},
}


def load(*sources: dict[str, Any]) -> dict[str, Source]:
    return load_sources(WebhooksSettings.model_validate({"sources": sources}), CATALOG)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"task": "ecko"}, "[0].task: no task is named 'ecko'; did you mean 'echo'?"),
    (
        {"params": {"vlue": "x"}},
        "[0].params.vlue: task 'echo' has no such parameter; it has: value",
    ),
    ({"params": {"value": "a..b"}}, "[0].params.value: 'a..b' is not a path like"),
    ({"task": "typed", "params": {}}, "[0].params: task 'typed' needs 'items'"),
    ({"match": {"a b": "x"}}, "[0].match.a b: 'a b' is not a path"),
    ({"customer": "."}, "[0].customer: '.' is not a path"),
    ({"kind": "hmac"}, "[0].header: name the header"),
    ({"header": "X-Sign"}, "[0].header: only sources of kind hmac have it"),
    ({"kind": "hmac", "header": "X", "events": ["a"]}, "[0].event: name the path"),
    ({"event": "type"}, "[0].event: GitHub tells it in a header"),
    ({"kind": "standard"}, "[0].secrets: each must be whsec_ and base64"),
    (
        {"kind": "standard", "allow_sha1": True, "secrets": ["whsec_" + "A" * 32]},
        "[0].allow_sha1",
    ),
    ({"secrets": [""]}, "[0].secrets: each must not be empty"),
]


def test_a_wrong_source_stops_the_start_and_is_told_by_its_key() -> None:
    for changes, words in WRONG:
        with pytest.raises(ConfigurationError) as caught:
            load({**GOOD, **changes})
        assert f"webhooks.sources{words}" in caught.value.detail
        assert "Secret to" not in caught.value.detail


def test_two_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="two are named 'forge'; rename one"):
        load(GOOD, GOOD)


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"secrets": "TOPSECRET"}, "secrets"),
        ({"secrets": ["TOPSECRET", "TOPSECRET", "TOPSECRET"]}, "secrets"),
        ({"secrets": [{"TOPSECRET": 1}]}, "secrets.0"),
        ({"secrets": [3141592653]}, "secrets.0"),
        ({"kind": "gitlab"}, "kind"),
        ({"name": "Bad Name"}, "name"),
        ({"tolerance": 3}, "tolerance"),
    ],
)
def test_a_malformed_source_is_told_without_its_secrets(
    tmp_path: Path, changes: dict[str, Any], key: str
) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump({"webhooks": {"sources": [{**GOOD, **changes}]}}))
    with pytest.raises(ConfigurationError) as caught:
        load_settings(file, {})
    assert caught.value.detail.startswith(f"webhooks.sources.0.{key}: ")
    assert "TOPSECRET" not in caught.value.detail
    assert "3141592653" not in caught.value.detail
    assert key != "tolerance" or "did you mean webhooks.sources.0.tolerance_seconds?" in str(
        caught.value
    )


def test_a_webhook_becomes_the_job_that_the_mapping_says() -> None:
    mapping = {**GOOD, "customer": "installation.id", "params": {"value": "$"}}
    source = load(mapping)["forge"]
    payload = {"installation": {"id": 7}}
    submission = source.submission(Delivery("key", "push"), payload)
    assert (submission.task, submission.client, submission.customer) == ("echo", "acme", "7")
    assert submission.params_json == b'{"value":{"installation":{"id":7}}}'
    assert submission.idempotency_key == "webhook:forge:key"
    assert submission.tags == ("webhook:forge",)
    absent = load(GOOD)["forge"].submission(Delivery("key"), payload)
    assert (absent.params_json, absent.customer) == (b"{}", None)


def test_only_the_events_and_contents_wanted_become_jobs() -> None:
    source = load({**GOOD, "events": ["push"], "match": {"ref": "refs/heads/main"}})["forge"]
    main, other = {"ref": "refs/heads/main"}, {"ref": "refs/heads/dev"}
    assert source.wants(Delivery("k", "push"), main)
    assert not source.wants(Delivery("k", "push"), other)
    assert not source.wants(Delivery("k", "issues"), main)
    assert source.is_ping(Delivery("k", "ping"))
    standard = {**GOOD, "kind": "standard", "secrets": ["whsec_" + "A" * 32]}
    typed = load({**standard, "events": ["invoice.paid"]})["forge"]
    assert typed.wants(Delivery("k"), {"type": "invoice.paid"})
    assert not typed.wants(Delivery("k"), {"type": ["invoice.paid"]})
    assert not typed.wants(Delivery("k"), [])
