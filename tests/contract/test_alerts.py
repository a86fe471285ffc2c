"""`/v1/alerts`, `/v1/silences`, and the page behind the link in a message."""

from __future__ import annotations

import secrets
import time
from functools import cache
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
import requests

from jobresults.alerts.counts import Count
from jobresults.alerts.flusher import Batch
from jobresults.alerts.groups import BatchWriter, GroupStore
from jobresults.alerts.links import PATH, SilenceLinks
from jobresults.alerts.model import Group, Sample, Severity
from jobresults.redis_store import connect
from jobresults.settings import AlertLinksSettings, RedisSettings, Settings
from tests.services.process import eventually
from tests.services.stack import Shape, Stack
from tests.services.stacks import StartStack, on_both_databases

KEY = secrets.token_hex(16)
UNKNOWN = "0123456789abcdef"


class Alerts:
    """Events as processes count them, straight into a stack's Redis."""

    def __init__(self, stack: Stack) -> None:
        settings = Settings(redis=RedisSettings.model_validate({"url": stack.redis.url}))
        self._groups = GroupStore(connect(settings.redis))
        self._writer = BatchWriter(settings)
        self._writer.has_new_process()
        self._number = 0

    def happen(self, key: str, *, ago_seconds: float = 0, count: int = 1, **sample: Any) -> str:
        """So many events. Returns their fingerprint."""
        self._number += 1
        at_ms = round((time.time() - ago_seconds) * 1000)
        told = {"title": f"<b>{key}</b>", "message": "boom", "logger": "test", **sample}
        severity = "error"
        events = Count(
            key, severity, count, at_ms, at_ms, told, {"j"}, {sample.get("customer", "c")}
        )
        assert self._groups.merge(self._writer.write(Batch(self._number, [events])))
        return self._writer.fingerprint(key)


@cache
def alerts_of(stack: Stack) -> Alerts:
    return Alerts(stack)


@pytest.fixture
def alerts(stack: Stack) -> Alerts:
    return alerts_of(stack)


def operate(stack: Stack, method: str, path: str, **options: Any) -> requests.Response:
    return stack.request(method, path, key=stack.operator_key, **options)


def silence(stack: Stack, **wanted: Any) -> dict[str, Any]:
    response = operate(stack, "POST", "/v1/silences", json={"ttl": "1h", **wanted})
    assert response.status_code == 201, response.text
    return dict(response.json())


def alert(stack: Stack, fingerprint: str) -> dict[str, Any]:
    response = operate(stack, "GET", f"/v1/alerts/{fingerprint}")
    assert response.status_code == 200, response.text
    return dict(response.json())


def listed(stack: Stack, **query: Any) -> list[str]:
    """All pages, by two."""
    found: list[str] = []
    cursor: dict[str, str] = {}
    while cursor.get("cursor", "") is not None:
        params = {**query, "limit": 2, **cursor}
        page = operate(stack, "GET", "/v1/alerts", params=params).json()
        assert len(page["alerts"]) <= 2
        found += [item["fingerprint"] for item in page["alerts"]]
        cursor = {"cursor": page["next_cursor"]}
    return found


def test_an_alert_tells_what_is_known_of_its_problem(stack: Stack, alerts: Alerts) -> None:
    alerts.happen("told", ago_seconds=60, customer="ann")
    fingerprint = alerts.happen("told", count=4, task="score", customer="bob", frames="in f")
    body = alert(stack, fingerprint)
    assert (body["count"], body["state"], body["severity"]) == (5, "open", "error")
    assert (body["job_count"], body["customer_count"], body["opened"]) == (1, 2, 1)
    assert (body["sample"]["task"], body["sample"]["frames"]) == ("score", "in f")
    assert body["first_at"] < body["last_at"]
    (short,) = [
        item
        for item in operate(stack, "GET", "/v1/alerts").json()["alerts"]
        if item["fingerprint"] == fingerprint
    ]
    del body["sample"]["frames"]
    assert short == body


def test_alerts_are_listed_by_their_last_event_and_state(stack: Stack, alerts: Alerts) -> None:
    keys = [secrets.token_hex(4) for _ in range(5)]
    made = [alerts.happen(key, ago_seconds=5 - age) for age, key in enumerate(keys)]
    over = alerts.happen(secrets.token_hex(4), ago_seconds=3_600)
    found = [item for item in listed(stack) if item in (*made, over)]
    assert found == [*made[::-1], over]
    assert over in listed(stack, state="resolved")
    assert not set(made) & set(listed(stack, state=["resolved", "silenced"]))
    assert set(made) <= set(listed(stack, state="open"))


@on_both_databases
def test_a_silenced_alert_says_by_whom(stack: Stack) -> None:
    alerts = alerts_of(stack)
    fingerprint = alerts.happen(secrets.token_hex(4))
    made = silence(stack, fingerprint=fingerprint, reason="known")
    assert (made["active"], made["created_by"], made["reason"]) == (True, "operations", "known")
    eventually(lambda: alert(stack, fingerprint)["silence"] == made, "this process knows it")
    ended = operate(stack, "DELETE", f"/v1/silences/{made['id']}").json()
    assert (ended["active"], ended["ended_by"]) == (False, "operations")
    eventually(lambda: alert(stack, fingerprint)["state"] == "open", "it is over")


def test_silences_are_listed_newest_first(stack: Stack) -> None:
    task = secrets.token_hex(8)
    made = [silence(stack, task=task, ttl=60)["id"] for _ in range(3)]
    operate(stack, "DELETE", f"/v1/silences/{made[1]}")

    def ids(**query: Any) -> list[str]:
        page = operate(stack, "GET", "/v1/silences", params=query).json()
        return [item["id"] for item in page["silences"] if item["task"] == task]

    assert ids() == made[::-1]
    assert ids(active="true") == [made[2], made[0]]
    assert ids(active="false") == [made[1]]
    first = operate(stack, "GET", "/v1/silences", params={"limit": 1}).json()
    assert [item["id"] for item in first["silences"]] == [made[2]]
    assert ids(cursor=first["next_cursor"]) == made[1::-1]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"ttl": "1h"}, "fingerprint"),
        ({"task": "score"}, "ttl"),
        ({"task": "score", "ttl": "soon"}, "ttl"),
        ({"task": "score", "ttl": "31d"}, "ttl"),
        ({"task": "", "ttl": 60}, "task"),
        ({"customer": "a\nb", "ttl": 60}, "customer"),
        ({"task": "score", "ttl": 60, "reason": "x" * 501}, "reason"),
        ({"task": "score", "ttl": 60, "created_by": "me"}, "created_by"),
    ],
)
def test_a_wrong_silence_is_refused_by_its_field(
    stack: Stack, body: dict[str, Any], field: str
) -> None:
    response = operate(stack, "POST", "/v1/silences", json=body)
    assert response.status_code == 400
    assert response.json()["errors"][0]["path"].startswith(field)


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/alerts?state=closed", "state.0"),
        ("/v1/alerts?cursor=7", "cursor"),
        ("/v1/silences?active=perhaps", "active"),
        ("/v1/silences?limit=0", "limit"),
    ],
)
def test_a_wrong_filter_is_refused_by_its_name(stack: Stack, path: str, field: str) -> None:
    response = operate(stack, "GET", path)
    assert response.status_code == 400
    assert [problem["path"] for problem in response.json()["errors"]] == [field]


@on_both_databases
def test_what_is_not_there_is_not_found(stack: Stack) -> None:
    for name in (UNKNOWN, f"{UNKNOWN}:pods", "%00", "x"):
        assert operate(stack, "GET", f"/v1/alerts/{name}").status_code == 404
        assert operate(stack, "DELETE", f"/v1/silences/{name}").status_code == 404


def test_only_operators_see_alerts_and_silences(stack: Stack) -> None:
    """They speak of every client's jobs."""
    for method, path in (
        ("GET", "/v1/alerts"),
        ("GET", f"/v1/alerts/{UNKNOWN}"),
        ("GET", "/v1/silences"),
        ("POST", "/v1/silences"),
        ("DELETE", f"/v1/silences/{UNKNOWN}"),
    ):
        assert stack.request(method, path).status_code == 403


@pytest.fixture(scope="module")
def linked(start_stack: StartStack) -> Stack:
    """Web alone signs links."""
    return start_stack(Shape(settings={"ALERTS__LINKS__SIGNING_KEY": KEY}))


def link(stack: Stack, signed: str, /, *, key: str = KEY, **changed: str) -> str:
    """The path of a link, perhaps tampered with."""
    links = AlertLinksSettings.model_validate({"base_url": stack.url, "signing_key": key})
    signer = SilenceLinks(links)
    expires = changed.pop("signed_until", str(int(time.time()) + 60))
    query = {
        "fingerprint": signed,
        "expires": expires,
        "signature": signer._signature(signed, expires),
    }
    return f"{PATH}?{urlencode(query | changed)}"


def test_looking_at_a_link_changes_nothing(linked: Stack) -> None:
    fingerprint = alerts_of(linked).happen("<script>")
    response = linked.request("GET", link(linked, fingerprint), key=None)
    assert response.status_code == 200
    assert "&lt;b&gt;&lt;script&gt;&lt;/b&gt;" in response.text
    assert "<script>" not in response.text
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["Cache-Control"] == "no-store"
    assert operate(linked, "GET", "/v1/silences").json()["silences"] == []


def test_a_confirmed_link_silences_its_alert(linked: Stack) -> None:
    fingerprint = alerts_of(linked).happen("confirmed")
    form = {"ttl": "4h", "name": "Ann", "reason": "being mended"}
    response = linked.request("POST", link(linked, fingerprint), key=None, data=form)
    assert response.status_code == 200
    assert "Silenced until" in response.text
    (made,) = [
        item
        for item in operate(linked, "GET", "/v1/silences").json()["silences"]
        if item["fingerprint"] == fingerprint
    ]
    assert (made["created_by"], made["reason"]) == ("Ann (by link)", "being mended")
    eventually(lambda: alert(linked, fingerprint)["state"] == "silenced", "it is in force")
    for wrong in ({"ttl": "30d", "name": "Ann"}, {"ttl": "1h"}, {"ttl": "1h", "name": "\0"}):
        path = link(linked, fingerprint)
        assert linked.request("POST", path, key=None, data=wrong).status_code == 400


@pytest.mark.parametrize(
    "changed",
    [
        {"fingerprint": UNKNOWN},
        {"expires": "9999999999"},
        {"signature": ""},
        {"signature": "ä"},
        {"key": "k" * 32},
        {"signed_until": "1000"},
    ],
)
def test_a_link_that_is_not_ours_or_too_old_does_nothing(
    linked: Stack, changed: dict[str, str]
) -> None:
    path = link(linked, "fedcba9876543210", **changed)
    for method in ("GET", "POST"):
        response = linked.request(method, path, key=None, data={"ttl": "1h", "name": "Eve"})
        assert response.status_code == 404
    everything = operate(linked, "GET", "/v1/silences", params={"limit": 100}).json()["silences"]
    assert "Eve (by link)" not in [item["created_by"] for item in everything]


def test_without_a_key_no_link_is_good(stack: Stack) -> None:
    assert stack.request("GET", link(stack, UNKNOWN), key=None).status_code == 404


def test_alerts_need_redis_and_silences_do_not(linked: Stack) -> None:
    fingerprint = alerts_of(linked).happen("away")
    path = link(linked, fingerprint)
    with linked.redis.stopped():
        for missing in ("/v1/alerts", f"/v1/alerts/{fingerprint}"):
            response = operate(linked, "GET", missing)
            assert (response.status_code, response.json()["code"]) == (503, "redis_unavailable")
            assert "Redis" in response.json()["detail"]
        assert silence(linked, task="score")["active"]
        page = linked.request("GET", path, key=None)
        assert f"Alert {fingerprint}" in page.text


def test_the_links_of_messages_lead_to_the_page() -> None:
    settings = AlertLinksSettings.model_validate({"base_url": "https://jobs", "signing_key": KEY})
    group = Group("f", Severity.ERROR, "s", "e", 1, 0, 0, Sample("t", "m", "l"))
    links = SilenceLinks(settings)
    url = links.url(group)
    assert url is not None
    assert (urlsplit(url).netloc, urlsplit(url).path) == ("jobs", PATH)
    query = dict(part.split("=") for part in urlsplit(url).query.split("&"))
    assert links.is_valid(**query)
    assert links.url(group) == url
    assert SilenceLinks(AlertLinksSettings(base_url="https://jobs")).url(group) is None
