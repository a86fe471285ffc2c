"""What a client may have in the ledger: queued jobs and stored bytes."""

from __future__ import annotations

from typing import Any

import pytest

from jobresults.errors import InvalidRequest, QuotaExceeded
from jobresults.jobs import expiry, quotas, stored
from jobresults.jobs.new_job import Submission
from jobresults.jobs.outcome import Ending
from jobresults.jobs.states import State
from jobresults.jobs.submission import Accepted, Submissions
from jobresults.settings import ClientLimits, LimitsSettings
from tests.integration.driver import CATALOG, SETTINGS, Driver

PARAMS = b'{"value":1}'


def limited(driver: Driver, **limits: Any) -> Submissions:
    """A web process of its own, as it starts."""
    settings = LimitsSettings(**limits)
    return Submissions(driver.database, driver.redis, CATALOG, SETTINGS, settings)


def echo(client: str = "me", **members: Any) -> Submission:
    return Submission("echo", PARAMS, client, **members)


@pytest.fixture(autouse=True)
def always_looks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a refusal, however short ago it looked."""
    monkeypatch.setattr(quotas, "_RECENT_SECONDS", -1.0)


def test_a_client_has_so_many_queued_jobs_at_most(driver: Driver) -> None:
    submissions = limited(driver, max_queued_jobs=2)
    first = submissions.submit(echo()).job_id
    submissions.submit(echo())
    with pytest.raises(QuotaExceeded) as refused:
        submissions.submit(echo())
    assert refused.value.extra == {"limit": "max_queued_jobs", "maximum": 2}
    assert "limits.max_queued_jobs" in refused.value.detail
    assert len(driver.rows()) == 2
    submissions.submit(echo("another"))
    driver.claim(first)  # queued no more: at once, not after the figures' second
    submissions.submit(echo())


def test_what_other_processes_let_in_counts(driver: Driver) -> None:
    limited(driver).submit(echo())
    with pytest.raises(QuotaExceeded):
        limited(driver, max_queued_jobs=1).submit(echo())


def test_figures_are_not_read_for_each_submission(
    driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    submissions = limited(driver, max_queued_jobs=100)
    submissions.submit(echo())
    monkeypatch.setattr(quotas.Quotas, "_queued", lambda *_: pytest.fail("counted again"))
    for _ in range(5):
        submissions.submit(echo())


def test_an_array_is_accepted_as_far_as_the_quota_goes(driver: Driver) -> None:
    submissions = limited(driver, max_queued_jobs=2)
    items = [echo(), InvalidRequest("wrong"), echo(), echo(), echo()]
    kinds = [type(answer) for answer in submissions.submit_all(items)]
    assert kinds == [Accepted, InvalidRequest, Accepted, QuotaExceeded, QuotaExceeded]
    assert len(driver.rows()) == 2


def test_a_replay_is_answered_whatever_the_quota(driver: Driver) -> None:
    submissions = limited(driver, max_queued_jobs=1)
    key = {"idempotency_key": "k", "fingerprint": "f"}
    job_id = submissions.submit(echo(**key)).job_id
    assert submissions.submit(echo(**key)) == Accepted(job_id, replayed=True)
    with pytest.raises(QuotaExceeded):
        submissions.submit(echo(idempotency_key="another"))


def test_a_replayed_array_is_answered_whatever_the_quota(driver: Driver) -> None:
    submissions = limited(driver, max_queued_jobs=1)
    array = [echo(idempotency_key="k", fingerprint="f")]
    (first,) = submissions.submit_all(array)
    (again,) = submissions.submit_all(array)
    assert isinstance(first, Accepted)
    assert again == Accepted(first.job_id, replayed=True)


def test_a_refused_key_can_be_used_later(driver: Driver) -> None:
    submissions = limited(driver, max_queued_jobs=1)
    first = submissions.submit(echo()).job_id
    key = {"idempotency_key": "k", "fingerprint": "f"}
    with pytest.raises(QuotaExceeded):
        submissions.submit(echo(**key))
    driver.claim(first)
    assert not submissions.submit(echo(**key)).replayed


def test_stored_bytes_are_params_and_results_until_they_expire(driver: Driver) -> None:
    claimed = driver.claim(limited(driver).submit(echo()).job_id)
    driver.succeed(claimed, b'"result"')
    driver.end(State.FAILED)
    failed_bytes = len(b"{}")
    total = len(PARAMS) + len(b'"result"') + failed_bytes
    assert stored.of_client(driver.database, "me") == total
    driver.alter(claimed.id, expires_at_ms=1)
    assert expiry.forget_results(driver.database, 10) == 1
    assert stored.of_client(driver.database, "me") == failed_bytes


def test_a_client_stores_so_many_bytes_at_most(driver: Driver) -> None:
    submissions = limited(driver, max_stored_bytes=2 * len(PARAMS) + 1)
    ids = [submissions.submit(echo()).job_id for _ in range(2)]
    with pytest.raises(QuotaExceeded) as refused:
        submissions.submit(echo())
    assert refused.value.extra["limit"] == "max_stored_bytes"
    driver.alter(ids[0], expires_at_ms=1)
    expiry.forget_results(driver.database, 10)
    submissions.submit(echo())


def test_a_rolled_back_result_is_not_counted(driver: Driver) -> None:
    first, second = driver.start(), driver.start()
    before = stored.of_client(driver.database, "me")
    driver.lose_worker(second.id)
    driver.record_all([(first, Ending(result=b"12")), (second, Ending(result=b"345"))])
    assert stored.of_client(driver.database, "me") == before + 2


def test_adding_up_changes_no_sum(driver: Driver) -> None:
    for _ in range(5):
        driver.submit()
    driver.submit(client="another")
    assert stored.fold(driver.database, 3) == 5
    assert stored.of_client(driver.database, "me") == 5 * len(b"{}")
    assert stored.of_client(driver.database, "another") == len(b"{}")
    assert stored.fold(driver.database, 3) == 0


def test_a_client_may_have_limits_of_its_own() -> None:
    own = {"acme": ClientLimits(max_queued_jobs=5), "free": ClientLimits(max_queued_jobs=None)}
    limits = LimitsSettings(max_queued_jobs=1, max_stored_bytes=9, clients=own)
    assert (limits.of("acme").max_queued_jobs, limits.of("acme").max_stored_bytes) == (5, 9)
    assert limits.of("free").max_queued_jobs is None
    assert limits.of("other").max_queued_jobs == 1
