"""Those who use the service meanwhile. None of them tries anything twice: each answer that is not a
good one, and each connection that breaks, is a failure.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import requests

_GOOD = (200, 202, 207)
_TIMEOUT_SECONDS = 30
_WAIT_SECONDS = 3
_BULK = 10
# Below the time for which a server keeps an idle connection (web.keepalive_seconds).
_SELDOM_SECONDS = 1.2
_DELAY_SECONDS = 3_600


class Refused(Exception):
    """It has been counted; the caller starts anew."""


@dataclass
class Callers:
    """Threads of one client, straight to the Service and through the edge in front of it."""

    direct: str
    edge: str
    token: str
    effects: Path
    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    accepted: dict[str, str] = field(default_factory=dict)
    """What each job has to return."""
    delayed: list[str] = field(default_factory=list)
    """Jobs that are not to run within the rehearsal."""

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._numbers = itertools.count(1)
        self._began_at = time.monotonic()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Callers:
        """In this order, so that those who wait are spread over the pods there are."""
        waiting = [partial(self._wait_for_what_does_not_end, self.direct)] * 4
        working: list[Callable[[Caller], None]] = [
            partial(self._poll, self.direct, 0.0),
            partial(self._poll, self.direct, 0.0),
            partial(self._poll, self.edge, 0.0),
            partial(self._poll, self.direct, 4.0),
            partial(self._long_poll, self.direct),
            partial(self._long_poll, self.direct),
            partial(self._long_poll, self.edge),
            partial(self._bulk, self.direct),
            partial(self._look_seldom, self.direct),
            partial(self._look_seldom, self.edge),
        ]
        for number, work in enumerate([*waiting, *working]):
            # Every third one connects anew for each request.
            self._start(Caller(self, keeps_connection=number % 3 != 2 or number < 4), work)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def count(self, method: str, what: str) -> None:
        self.answers[f"{method} {what}"] += 1

    def fail(self, text: str) -> None:
        at_seconds = time.monotonic() - self._began_at
        self.failures.append(f"{at_seconds:6.2f} s {text}")

    def _start(self, caller: Caller, work: Callable[[Caller], None]) -> None:
        def repeat() -> None:
            while not self._over.is_set():
                try:
                    work(caller)
                except Refused:
                    self._over.wait(0.1)
                except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
                    self.fail(f"a caller stumbled: {error!r}")
                    self._over.wait(0.1)

        thread = threading.Thread(target=repeat, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _body(self, seconds: float, **more: Any) -> dict[str, Any]:
        number = next(self._numbers)
        params = {"value": f"value {number}", "effects": str(self.effects), "seconds": seconds}
        return {"task": "rehearse", "params": params, "customer": f"c{number % 7}", **more}

    def _submit(self, caller: Caller, url: str, seconds: float) -> tuple[str, str]:
        body = self._body(seconds)
        job_id = str(caller.ask("POST", f"{url}/v1/jobs", json=body)["job_id"])
        expected = self.accepted[job_id] = body["params"]["value"][::-1]
        return job_id, expected

    def _poll(self, url: str, seconds: float, caller: Caller) -> None:
        job_id, expected = self._submit(caller, url, seconds)
        while True:
            found = caller.ask("GET", f"{url}/get_result?job_id={job_id}")
            if not isinstance(found, dict):
                break
            time.sleep(0.05 + seconds / 8)
        if found != expected:
            self.fail(f"job {job_id} returned {found!r} instead of {expected!r}")

    def _long_poll(self, url: str, caller: Caller) -> None:
        job_id, expected = self._submit(caller, url, 0.3)
        while not (job := caller.ask("GET", f"{url}/v1/jobs/{job_id}?wait={_WAIT_SECONDS}"))[
            "done"
        ]:
            pass
        if job.get("result") != expected:
            self.fail(f"job {job_id} ended as {job}")

    def _bulk(self, url: str, caller: Caller) -> None:
        bodies = [self._body(0.0) for _ in range(_BULK)]
        answer = caller.ask("POST", f"{url}/v1/jobs", json=bodies)
        for body, item in zip(bodies, answer["jobs"], strict=True):
            self.accepted[item["job"]["job_id"]] = body["params"]["value"][::-1]
        time.sleep(1.0)

    def _look_seldom(self, url: str, caller: Caller) -> None:
        caller.ask("GET", f"{url}/v1/jobs?limit=1")
        time.sleep(_SELDOM_SECONDS)

    def _wait_for_what_does_not_end(self, url: str, caller: Caller) -> None:
        """There is a request under way at every moment."""
        body = self._body(0.0, delay_seconds=_DELAY_SECONDS)
        job_id = caller.ask("POST", f"{url}/v1/jobs", json=body)["job_id"]
        self.delayed.append(job_id)
        while not self._over.is_set():
            job = caller.ask("GET", f"{url}/v1/jobs/{job_id}?wait={_WAIT_SECONDS}")
            if job["state"] != "queued":
                self.fail(f"job {job_id}, due in an hour, is {job['state']}")


class Caller:
    """One thread's way of connecting."""

    def __init__(self, callers: Callers, *, keeps_connection: bool) -> None:
        self._callers = callers
        self._session = requests.Session() if keeps_connection else None
        self._headers = {"Authorization": f"Bearer {callers.token}"}

    def ask(self, method: str, url: str, **options: Any) -> Any:
        """The answer's JSON. Raises Refused."""
        send = requests.request if self._session is None else self._session.request
        options = {"headers": self._headers, "timeout": _TIMEOUT_SECONDS, **options}
        try:
            answer = send(method, url, **options)
        except requests.RequestException as error:
            self._callers.fail(f"{method} {url}: {error!r}")
            raise Refused from error
        if answer.status_code not in _GOOD:
            self._callers.fail(f"{method} {url}: {answer.status_code} {answer.text[:200]}")
            raise Refused
        self._callers.count(method, str(answer.status_code))
        return answer.json()
