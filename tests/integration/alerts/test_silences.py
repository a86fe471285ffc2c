"""Silences: made, ended, found, forgotten."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import update

from jobresults.alerts import silences
from jobresults.alerts.model import Group, Sample, Severity
from jobresults.alerts.silences import Silence, Silences, parse_ttl, silence
from jobresults.database import Database, open_database
from jobresults.errors import InvalidRequest, NotFound
from jobresults.schema import migrate
from jobresults.settings import DatabaseSettings
from tests.integration.driver import on_sqlite

DAY_SECONDS = 86_400


def group(
    fingerprint: str = "f", task: str | None = "score", customer: str = "ann", customers: int = 1
) -> Group:
    sample = Sample("broken", "it broke", "jobresults", task=task, customer=customer)
    return Group(fingerprint, Severity.ERROR, "s", "e", 1, 0, 0, sample, customer_count=customers)


def create(database: Database, **given: str | None) -> Silence:
    return silences.create(database, **{"ttl": "1h", "created_by": "me", **given})  # type: ignore[arg-type]


def age(database: Database, item: Silence, seconds: int) -> None:
    """Let time pass for it."""
    with database.write() as connection:
        connection.execute(
            update(silence)
            .where(silence.c.id == item.id)
            .values(
                created_at_ms=silence.c.created_at_ms - seconds * 1000,
                expires_at_ms=silence.c.expires_at_ms - seconds * 1000,
            )
        )


@pytest.mark.parametrize(
    ("given", "hidden"),
    [
        ({"fingerprint": "f"}, True),
        ({"fingerprint": "g"}, False),
        ({"task": "score"}, True),
        ({"task": "score", "customer": "ann"}, True),
        ({"task": "score", "customer": "bob"}, False),
        ({"fingerprint": "f", "task": "other"}, False),
    ],
)
def test_all_that_a_silence_names_must_match(
    database: Database, given: dict[str, str], hidden: bool
) -> None:
    made = create(database, **given)
    found = Silences(database).find(group())
    assert (found is not None) is hidden
    assert found in (None, made)


@on_sqlite
def test_a_customers_silence_does_not_hide_what_hurts_others(database: Database) -> None:
    create(database, customer="ann")
    assert Silences(database).find(group(customers=1)) is not None
    assert Silences(database).find(group(customers=2)) is None


def test_a_silence_is_over_when_it_is_ended_or_its_time_is(database: Database) -> None:
    ended, expired = create(database, task="score"), create(database, task="score")
    assert silences.page(database, active=True) == ([expired, ended], None)
    after = silences.end(database, ended.id, ended_by="you")
    assert (after.active, after.ended_by) == (False, "you")
    assert silences.end(database, ended.id, ended_by="he") == after, "it is ended once"
    age(database, expired, 3_601)
    assert silences.end(database, expired.id, ended_by="he").ended_by is None
    assert Silences(database).find(group()) is None
    assert silences.page(database, active=True) == ([], None)
    found, _ = silences.page(database, active=False)
    assert [item.id for item in found] == [expired.id, ended.id]


def test_pages_show_every_silence_once(database: Database) -> None:
    made = [create(database, task=str(number)).id for number in range(5)]
    seen, cursor = [], None
    for _ in range(3):
        found, cursor = silences.page(database, before_id=cursor, limit=2)
        seen += [item.id for item in found]
    assert (seen, cursor) == (made[::-1], None)


@on_sqlite
def test_only_an_existing_silence_is_ended(database: Database) -> None:
    with pytest.raises(NotFound):
        silences.end(database, "unknown", ended_by="me")


def test_silences_are_forgotten_thirty_days_after_their_end(database: Database) -> None:
    kept, old = create(database, task="kept"), create(database, task="old")
    silences.end(database, kept.id, ended_by="me")
    age(database, kept, 30 * DAY_SECONDS)
    age(database, old, 30 * DAY_SECONDS + 3_601)
    assert silences.forget(database, 10) == 1
    assert [item.id for item in silences.page(database)[0]] == [kept.id]


def test_silences_are_looked_up_every_5_s_and_remembered_in_an_outage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "ledger.db"
    settings = DatabaseSettings(url=SecretStr(f"sqlite:///{path}"))
    migrate(settings)
    database = open_database(settings)
    now = 1_000.0
    monkeypatch.setattr(silences.time, "monotonic", lambda: now)
    known = Silences(database)
    assert known.find(group()) is None
    create(database, task="score")
    now += 4.9
    assert known.find(group()) is None, "it is not asked again so soon"
    now += 0.2
    assert known.find(group()) is not None
    database.close()
    path.rename(tmp_path / "away")
    path.mkdir()
    now += 60
    assert known.find(group()) is not None, "as it was last known"
    assert "as they were last known" in caplog.text
    now += 3_600
    assert known.find(group()) is None, "its time is over all the same"
    database.close()


def test_times_are_given_as_people_write_them() -> None:
    given = ["90", "90s", "30m", "2h", "30d", 7]
    assert [parse_ttl(text) for text in given] == [90, 90, 1_800, 7_200, 30 * DAY_SECONDS, 7]


def test_other_times_are_refused() -> None:
    for text in ("", "0", "-5", "1.5h", "31d", "2592001", "1w", "1h ", "\u0661", "9" * 20):
        with pytest.raises(InvalidRequest, match="ttl: give seconds"):
            parse_ttl(text)


@on_sqlite
@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "fingerprint"),
        ({"task": ""}, "fingerprint"),
        ({"task": "x" * 201}, "task"),
        ({"customer": "nul\0"}, "customer"),
        ({"fingerprint": "half \ud800"}, "fingerprint"),
        ({"task": "score", "reason": "x" * 501}, "reason"),
        ({"task": "score", "created_by": "a\nb"}, "created_by"),
        ({"task": "score", "ttl": "soon"}, "ttl"),
    ],
)
def test_wrong_fields_are_named(database: Database, given: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        create(database, **given)
    assert field in [problem["path"] for problem in refused.value.extra["errors"]]
    assert silences.page(database) == ([], None)
