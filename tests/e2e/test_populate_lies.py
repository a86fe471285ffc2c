"""Every answer that must not be is found, named, and ends a run with exit code 1."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from jobresults.cli.main import main
from jobresults.populate.caller import Caller
from jobresults.populate.orders import SCORE
from jobresults.populate.pace import MIX
from jobresults.populate.report import exit_code
from jobresults.populate.run import Options, Outcome, Progress, run
from tests.services.lying_proxy import Lie, LyingProxy, changed, with_header
from tests.services.scripted_http import Answer, Request
from tests.services.stack import Stack

Load = Callable[..., Outcome]

_ID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.fixture
def load(stack: Stack) -> Load:
    """A short run through a proxy that lies so."""

    def loaded(lie: Lie, kinds: str, jobs: int = 6, task: str = SCORE) -> Outcome:
        options = Options(
            seed=1,
            jobs=jobs,
            concurrency=4,
            customers=1,
            task=task,
            params=None if task == SCORE else {},
            mix={kind: int(kind in kinds.split()) for kind in MIX},
            patience_seconds=20,
            drain_seconds=20,
        )
        with LyingProxy(stack.url, lie) as proxy:
            return run(Caller(proxy.url, stack.key), "of tests", options, lambda _: None)

    return loaded


def honest(_: LyingProxy, __: Request, answer: Answer) -> Answer:
    return answer


def is_result(request: Request, answer: Answer) -> bool:
    """Whether a result is read, whichever way."""
    path = request.path
    return answer.status == 200 and (path.startswith("/get_result") or path.endswith("/result"))


def is_submission(request: Request) -> bool:
    return request.path.startswith(("/add/", "/userdevicesms")) or (
        request.path == "/v1/jobs" and request.method == "POST"
    )


def swaps_results(proxy: LyingProxy, request: Request, answer: Answer) -> Answer:
    return proxy.first("result", answer) if is_result(request, answer) else answer


def changes_a_number(_: LyingProxy, request: Request, answer: Answer) -> Answer:
    if not is_result(request, answer):
        return answer
    return changed(answer, score=json.loads(answer.body)["score"] + 1)


def changes_a_number_within_the_job(_: LyingProxy, request: Request, answer: Answer) -> Answer:
    document = json.loads(answer.body or b"{}")
    if "result" not in document:
        return answer
    return changed(answer, result={**document["result"], "score": 1})


def answers_the_same_messages_in_other_bytes(
    proxy: LyingProxy, request: Request, answer: Answer
) -> Answer:
    if not is_result(request, answer):
        return answer
    return replace(answer, body=answer.body + b" " * proxy.times("result"))


def loses_a_job(_: LyingProxy, request: Request, answer: Answer) -> Answer:
    return Answer(404, b'{"code": "not_found"}') if is_result(request, answer) else answer


def forgets_that_a_job_has_ended(proxy: LyingProxy, request: Request, answer: Answer) -> Answer:
    if not is_result(request, answer) or proxy.times("result") == 1:
        return answer
    found = _ID.search(request.path)
    assert found is not None
    return Answer(202, json.dumps({"job_id": found[0], "state": "running"}).encode())


def changes_an_ending(proxy: LyingProxy, request: Request, answer: Answer) -> Answer:
    if not is_result(request, answer) or proxy.times("result") == 1:
        return answer
    return Answer(424, b'{"code": "job_failed"}')


def changes_etags(proxy: LyingProxy, request: Request, answer: Answer) -> Answer:
    if not is_result(request, answer):
        return answer
    return with_header(answer, "ETag", f'"{proxy.times("result")}"')


def makes_two_jobs_of_one_key(proxy: LyingProxy, request: Request, answer: Answer) -> Answer:
    if "Idempotency-Replayed" not in answer.headers:
        return answer
    return changed(answer, job_id="019a0000-0000-7000-8000-000000000000")


def gives_one_id_to_two_jobs(proxy: LyingProxy, request: Request, answer: Answer) -> Answer:
    return proxy.first("job", answer) if is_submission(request) else answer


def lists_less(_: LyingProxy, request: Request, answer: Answer) -> Answer:
    if request.method != "GET" or not request.path.startswith("/v1/jobs?"):
        return answer
    return changed(answer, jobs=json.loads(answer.body)["jobs"][1:])


def lists_another_ending(_: LyingProxy, request: Request, answer: Answer) -> Answer:
    if request.method != "GET" or not request.path.startswith("/v1/jobs?"):
        return answer
    jobs = json.loads(answer.body)["jobs"]
    return changed(answer, jobs=[{**job, "state": "failed"} for job in jobs])


def accepts_less(_: LyingProxy, request: Request, answer: Answer) -> Answer:
    if answer.status != 207:
        return answer
    return changed(answer, jobs=json.loads(answer.body)["jobs"][1:])


def reruns_another(_: LyingProxy, request: Request, answer: Answer) -> Answer:
    return changed(answer, rerun_of=None) if request.path.endswith("/rerun") else answer


def cancels_nothing(_: LyingProxy, request: Request, answer: Answer) -> Answer:
    if not request.path.endswith("/cancel"):
        return answer
    return replace(changed(answer, state="queued"), status=200)


def cancels_unasked(_: LyingProxy, request: Request, answer: Answer) -> Answer:
    return Answer(424, b'{"code": "job_canceled"}') if is_result(request, answer) else answer


def scores_another(_: LyingProxy, request: Request, answer: Answer) -> Answer:
    if request.path.startswith("/score") and answer.status == 200:
        return changed(answer, customer="bob")
    return answer


def forgets_scores(_: LyingProxy, request: Request, answer: Answer) -> Answer:
    return Answer(404, b"{}") if request.path.startswith("/score") else answer


def takes_for_another(_: LyingProxy, request: Request, answer: Answer) -> Answer:
    return changed(answer, customer="bob") if is_submission(request) else answer


def makes_up_a_state(_: LyingProxy, request: Request, answer: Answer) -> Answer:
    return changed(answer, state="lazy") if is_submission(request) else answer


def answers_nonsense(_: LyingProxy, request: Request, answer: Answer) -> Answer:
    return Answer(203, b"well") if is_result(request, answer) else answer


@pytest.mark.parametrize(
    ("lie", "kinds", "kind", "detail"),
    [
        (swaps_results, "hold", "repeated", "messages_total is"),
        (changes_a_number, "poll", "wrong", "score is"),
        (changes_a_number_within_the_job, "wait", "wrong", "score is 1,"),
        (answers_the_same_messages_in_other_bytes, "hold", "wrong", "the same messages"),
        (answers_the_same_messages_in_other_bytes, "hold", "changed", "other bytes"),
        (loses_a_job, "hold", "lost", "was accepted and is unknown"),
        (forgets_that_a_job_has_ended, "wait", "changed", "is running after it has succeeded"),
        (changes_an_ending, "wait", "changed", "has failed after it has succeeded"),
        (changes_etags, "hold", "changed", "another ETag"),
        (makes_two_jobs_of_one_key, "again", "repeated", "is answered in its place"),
        (gives_one_id_to_two_jobs, "hold", "repeated", "is the id of two submissions"),
        (lists_less, "bulk", "lost", "is not in the list"),
        (lists_less, "hold", "lost", "succeeded when last seen, is unknown"),
        (lists_another_ending, "hold", "changed", "is failed after it has succeeded"),
        (accepts_less, "bulk", "wrong", "jobs is answered with"),
        (reruns_another, "cancel", "wrong", "is no rerun of"),
        (cancels_nothing, "cancel", "wrong", "not by its own state"),
        (cancels_unasked, "hold", "wrong", "nobody asked for that"),
        (scores_another, "hold", "wrong", "GET /score is the score of 'bob'"),
        (forgets_scores, "hold", "lost", "GET /score answers 404"),
        (takes_for_another, "hold", "wrong", "customer is 'bob'"),
        (makes_up_a_state, "hold", "wrong", "its state is 'lazy'"),
        (answers_nonsense, "hold", "wrong", "is answered with 203"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_lie_is_found(load: Load, lie: Lie, kinds: str, kind: str, detail: str) -> None:
    outcome = load(lie, kinds)
    assert outcome.failure is None
    found = [finding for finding in outcome.findings if detail in finding.detail]
    assert kind in {finding.kind for finding in found}, outcome.findings
    assert kind in outcome.finding_counts
    assert exit_code(outcome) == 1


def test_the_same_without_a_lie_finds_nothing(load: Load) -> None:
    outcome = load(honest, " ".join(MIX), jobs=60)
    assert outcome.findings == []
    assert outcome.failure is None
    assert exit_code(outcome) == 0
    reruns = outcome.figures.latencies["rerun"].count
    assert outcome.figures.accepted == outcome.figures.ended == outcome.audit.asked == 60 + reruns
    assert outcome.figures.verified > 60


def test_refusals_and_failures_of_the_moment_are_counted_and_lose_nothing(load: Load) -> None:
    def stumbles(proxy: LyingProxy, request: Request, answer: Answer) -> Answer:
        """After the service has done it, too: the answer is lost on its way back."""
        number = proxy.times("request")
        if number % 10 == 1:
            return Answer(429, b'{"code": "rate_limited"}', {"Retry-After": "0"})
        if number % 10 == 4:
            return Answer(503, b'{"code": "unavailable"}', {"Retry-After": "0"})
        return Answer(how="reset") if number % 10 == 7 else answer

    outcome = load(stumbles, "hold wait bulk again", jobs=20)
    assert outcome.findings == []
    assert exit_code(outcome) == 0
    assert outcome.figures.accepted == outcome.figures.ended == 20
    assert set(outcome.figures.errors) == {"429 rate_limited", "503 unavailable", "no answer"}


def test_failed_jobs_have_an_exit_code_of_their_own(load: Load) -> None:
    outcome = load(honest, "hold", jobs=2, task="fails_for_good")
    assert outcome.findings == []
    assert outcome.figures.states == {"failed": 2}
    assert exit_code(outcome) == 3


def test_what_is_refused_ends_the_run_with_the_reason(load: Load) -> None:
    outcome = load(honest, "hold", jobs=2, task="typed")
    assert "items" in str(outcome.failure)
    assert exit_code(outcome) == 1
    assert outcome.figures.accepted == 0


def test_a_shell_sees_which_job_was_answered_wrongly(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {"NO_PROXY": "*", "JOBRESULTS_TOKEN": stack.key}
    with LyingProxy(stack.url, changes_a_number) as proxy:
        arguments = ["--destination", proxy.url, "--jobs", "1", "--seed", "1", "-o", "table"]
        done = CliRunner().invoke(main, ["populate", *arguments], env=environ)
    assert done.exit_code == 1
    assert re.search(rf"wrong +{_ID.pattern} +score is", done.stdout)
    assert done.stdout.endswith("wrong answers: 1 wrong\n")


@contextmanager
def canceled_at_the_end(stack: Stack, task: str) -> Iterator[None]:
    yield
    for state in ("queued", "running"):
        query = {"task": task, "state": state}
        for job in stack.request("GET", "/v1/jobs", params=query).json()["jobs"]:
            stack.request("POST", f"/v1/jobs/{job['job_id']}/cancel")


def test_jobs_that_do_not_end_are_named(stack: Stack) -> None:
    options = Options(
        seed=1, jobs=1, task="unserved", params={}, mix={"poll": 1}, drain_seconds=0.5
    )
    with canceled_at_the_end(stack, "unserved"):
        outcome = run(Caller(stack.url, stack.key), "of tests", options, lambda _: None)
    assert outcome.audit.is_complete
    assert len(outcome.audit.unfinished) == 1
    assert exit_code(outcome) == 5


@pytest.mark.parametrize("most", [2, 3])
def test_each_interrupt_ends_what_goes_on(stack: Stack, most: int) -> None:
    phases = ["load", "waiting for what is under way", "audit"][:most]
    options = Options(seed=1, rate=50, task="unserved", params={}, mix={"poll": 1})
    options = replace(options, drain_seconds=3_600)  # in which the test would time out
    interrupts = 0

    def show(progress: Progress) -> None:
        nonlocal interrupts
        if progress.phase in phases and progress.figures.accepted:
            interrupts = 1 + phases.index(progress.phase)

    with canceled_at_the_end(stack, "unserved"):
        outcome = run(Caller(stack.url, stack.key), "of tests", options, show, lambda: interrupts)
    assert outcome.interrupted
    assert outcome.failure is None
    assert outcome.audit.is_complete == (most == 2)
    assert len(outcome.audit.unfinished) == (outcome.figures.accepted if most == 2 else 0)
    assert exit_code(outcome) == 130
