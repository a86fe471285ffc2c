"""Those who use the service meanwhile: several hand in jobs, one keeps asking after them."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from jobresults.client import Client
from jobresults.client.exceptions import ClientError
from tests.faults.soak.plan import Work

_SUBMITTERS = 4
_PATIENCE_SECONDS = 3.0
_ASK_SECONDS = 0.1
_TERMINAL = ("succeeded", "failed", "canceled")


@dataclass(frozen=True)
class Accepted:
    """What a caller was told: this key has this job. `seconds`: from the first request on."""

    key: str
    job_id: str
    seconds: float


class Callers:
    """Threads that share one key of one client, and two servers to go to."""

    def __init__(self, urls: Sequence[str], token: str, effects: Path) -> None:
        self.accepted: list[Accepted] = []
        self.violations: list[str] = []
        self.refusals = 0
        self.answers = 0
        self._clients = [Client(url, token, timeout=_PATIENCE_SECONDS) for url in urls]
        self._effects = effects
        self._is_over = threading.Event()

    def start(self, work: Sequence[Work]) -> None:
        """Begin to hand in the work, each piece at its time."""
        begin = time.monotonic()
        shares = [work[number::_SUBMITTERS] for number in range(_SUBMITTERS)]
        self._reader = self._run(self._read)
        self._submitters = [self._run(partial(self._submit, share, begin)) for share in shares]

    @property
    def are_submitting(self) -> bool:
        return any(thread.is_alive() for thread in self._submitters)

    def stop(self) -> None:
        """Let those who ask end."""
        self._is_over.set()
        self._reader.join()

    def _run(self, call: Callable[[], None]) -> threading.Thread:
        def guarded() -> None:
            try:
                call()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
                self.violations.append(f"a caller gave up: {type(error).__name__}: {error}")

        thread = threading.Thread(target=guarded, daemon=True)
        thread.start()
        return thread

    def _submit(self, share: Sequence[Work], begin: float) -> None:
        for number, work in enumerate(share):
            time.sleep(max(0.0, begin + work.at_seconds - time.monotonic()))
            self._hand_in(work, number)
            if number % 8 == 0:  # as one does who missed the answer, and at the other server
                self._hand_in(work, number + 1)

    def _hand_in(self, work: Work, server: int) -> None:
        """Until it is accepted: now here, now there, always under the same key."""
        params = {
            "key": work.key,
            "effects": str(self._effects),
            "seconds": work.seconds,
            "failures": work.failures,
            "permanent": work.permanent,
        }
        begin = time.monotonic()
        while True:
            client = self._clients[server % len(self._clients)]
            server += 1
            try:
                # One of two, who take turns.
                customer = f"customer {ord(work.key[-1]) % 2}"
                job = client.submit("soak", params, customer=customer, idempotency_key=work.key)
            except ClientError as error:
                self.refusals += 1
                if not error.retryable:
                    raise
            else:
                self.accepted.append(Accepted(work.key, job.id, time.monotonic() - begin))
                return

    def _read(self) -> None:
        """Promise 7 as a caller sees it: what was accepted is found, what has ended stays so."""
        chance = random.Random(0)
        ended: dict[str, str] = {}
        while not self._is_over.wait(_ASK_SECONDS):
            if not self.accepted:
                continue
            job_id = chance.choice(self.accepted).job_id
            try:
                state = chance.choice(self._clients).get_job(job_id)["state"]
            except ClientError as error:
                self.refusals += 1
                if not error.retryable:
                    self.violations.append(f"job {job_id} was asked for: {error!r}")
                continue
            self.answers += 1
            if ended.get(job_id, state) != state:
                self.violations.append(f"job {job_id} was {ended[job_id]}, then {state}")
            if state in _TERMINAL:
                ended[job_id] = state
