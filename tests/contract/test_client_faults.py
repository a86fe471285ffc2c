"""The Python client and the running service, with a faulty way between them."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from jobresults import Client
from jobresults.client import ClientError, JobHandle, JobTimeout, ServiceUnavailable
from tests.contract.http_fault_proxy import (
    LAST_OF_ITS_CONNECTION,
    LOST,
    NONE,
    TORN,
    Fault,
    HttpFaultProxy,
    http_fault_proxy,
)
from tests.services.stack import Stack
from tests.unit.client.scripted_service import Reply, ScriptedService

BUSY = Reply(503, {"detail": "draining"}, {"Retry-After": "0"})
OF_A_PROXY = Reply(502, content=b"<html>Bad Gateway</html>", headers={"Content-Type": "text/html"})
SILENT = Reply(200, "never whole", piece_seconds=3600)


@pytest.fixture
def proxy(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[HttpFaultProxy]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with http_fault_proxy(stack.url) as running:
        yield running


@pytest.fixture
def client(proxy: HttpFaultProxy, stack: Stack) -> Iterator[Client]:
    with Client(proxy.url, stack.key) as client:
        yield client


@pytest.fixture
def customer() -> str:
    """Whose jobs nobody else has."""
    return f"customer-{uuid.uuid4()}"


def jobs_of(stack: Stack, customer: str) -> list[str]:
    """What the service has accepted, asked for on the straight way."""
    answer = stack.request("GET", "/v1/jobs", params={"customer": customer, "limit": 100})
    return [job["job_id"] for job in answer.json()["jobs"]]


def in_one_second() -> dict[str, str]:
    """Retry-After as a date, by a clock that is an hour slow and says so."""
    now = datetime.now(UTC) - timedelta(hours=1)
    later = now + timedelta(seconds=1)
    return {
        "Date": format_datetime(now, usegmt=True),
        "Retry-After": format_datetime(later, usegmt=True),
    }


def test_nothing_is_sent_again_before_retry_after_in_either_form(
    client: Client, proxy: HttpFaultProxy, stack: Stack, customer: str
) -> None:
    proxy.faults(
        *(
            Reply(status, {"detail": "not now"}, headers)
            for headers in ({"Retry-After": "1"}, in_one_second())
            for status in (429, 503)
        )
    )
    handle = client.submit("echo", {"value": 1}, customer=customer)
    assert handle.result() == 1
    assert all(proxy.gap_seconds(number) >= 1 for number in range(4))
    assert jobs_of(stack, customer) == [handle.id]


@pytest.mark.parametrize(
    "faults",
    [
        [LOST],
        [TORN],
        [LOST, TORN, LOST],
        [OF_A_PROXY, LOST, BUSY],
        [LAST_OF_ITS_CONNECTION],
    ],
    ids=["lost", "torn", "lost again", "lost amid others", "connection gone"],
)
def test_a_submission_is_one_job_whatever_befell_its_replies(
    client: Client, proxy: HttpFaultProxy, stack: Stack, customer: str, faults: list[Fault]
) -> None:
    client.status()  # so that there is a connection to be lost
    proxy.faults(*faults)
    handle = client.submit("echo", {"value": "once"}, customer=customer)
    assert jobs_of(stack, customer) == [handle.id]
    assert handle.result() == "once"


def test_so_is_a_rerun_and_a_job_is_canceled_though_nobody_heard_of_it(
    client: Client, proxy: HttpFaultProxy, stack: Stack, customer: str
) -> None:
    first = client.submit("unserved", {}, customer=customer)
    proxy.faults(LOST, NONE, LOST)
    assert first.cancel()["state"] == "canceled"
    second = first.rerun()
    assert jobs_of(stack, customer) == [second.id, first.id]
    second.cancel()


def test_a_slow_answer_is_read_to_its_end(client: Client, proxy: HttpFaultProxy) -> None:
    value = ["ß", None, 1.5, {"a": []}]
    handle = client.submit("echo", {"value": value})
    proxy.faults({"piece_seconds": 0.005, "head_too": True})
    assert handle.result() == value


@pytest.mark.parametrize("head_too", [False, True], ids=["body", "header"])
def test_the_deadline_ends_an_answer_that_does_not_end(
    client: Client, proxy: HttpFaultProxy, stack: Stack, head_too: bool
) -> None:
    handle = client.submit("echo", {"value": 1})
    stack.ended(handle.id)
    long = {"X-Padding": "x" * 10_000}
    trickling = Reply(200, "x" * 100_000, long, piece_seconds=0.05, head_too=head_too)
    proxy.faults(trickling)
    with pytest.raises(ServiceUnavailable, match="did not end in time"):
        handle.result(timeout=0.5)
    assert handle.result() == 1  # on another connection


def test_one_deadline_is_over_all_retries(proxy: HttpFaultProxy, stack: Stack) -> None:
    at_the_end = len(proxy.received)
    proxy.faults(*[Reply(503, {"detail": "draining"}, {"Retry-After": "1"})] * 100)
    with (
        Client(proxy.url, stack.key, timeout=2.5) as client,
        pytest.raises(ServiceUnavailable, match="draining") as caught,
    ):
        client.submit("echo", {})
    assert caught.value.problem["detail"] == "draining"
    assert 2 <= len(proxy.received) - at_the_end <= 3
    proxy.faults(SILENT, SILENT)
    with (
        Client(proxy.url, stack.key, timeout=0.5) as client,
        pytest.raises(ServiceUnavailable),
    ):
        client.tasks()


def test_patience_with_a_job_is_not_lost_to_faults(
    client: Client, proxy: HttpFaultProxy, customer: str
) -> None:
    handle = client.submit("unserved", {}, customer=customer)
    proxy.faults(BUSY, OF_A_PROXY)
    with pytest.raises(JobTimeout):
        handle.result(timeout=3)
    handle.cancel()


def test_a_token_goes_to_no_other_host(client: Client, proxy: HttpFaultProxy) -> None:
    with ScriptedService() as elsewhere:
        elsewhere.replies(Reply(200, {"success": "OK"}))
        proxy.faults(*(Reply(status, headers={"Location": elsewhere.url}) for status in (302, 307)))
        for call in (client.tasks, lambda: client.submit("echo", {})):
            with pytest.raises(ClientError, match="redirected"):
                call()
        assert elsewhere.received == []


@pytest.mark.parametrize("seed", [1, 2])
def test_threads_get_each_their_own_results_through_faults(
    client: Client, proxy: HttpFaultProxy, stack: Stack, customer: str, seed: int
) -> None:
    rng = random.Random(seed)
    kinds: list[Fault] = [NONE, LOST, TORN, BUSY, OF_A_PROXY, LAST_OF_ITS_CONNECTION]
    proxy.faults(*rng.choices(kinds, weights=[10, 1, 1, 1, 1, 2], k=300))

    def call(number: int) -> tuple[JobHandle, object]:
        handle = client.submit("echo", {"value": number}, customer=customer)
        return handle, handle.result(60)

    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(call, range(20)))
    assert [result for _, result in done] == list(range(20))
    assert sorted(jobs_of(stack, customer)) == sorted(handle.id for handle, _ in done)


def test_a_map_is_right_through_faults(
    client: Client, proxy: HttpFaultProxy, stack: Stack, customer: str
) -> None:
    rng = random.Random(3)
    kinds: list[Fault] = [NONE, LOST, TORN, LAST_OF_ITS_CONNECTION]
    proxy.faults(*rng.choices(kinds, weights=[12, 1, 1, 2], k=300))
    items = [{"value": number} for number in range(30)]
    assert list(client.map("echo", items, max_in_flight=8, customer=customer)) == list(range(30))
    assert len(jobs_of(stack, customer)) == 30
