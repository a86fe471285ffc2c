"""Asking until there is an answer: pauses as the service wants them, everything counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

from jobresults.client import ClientError, ServiceUnavailable
from jobresults.client.retry import pauses
from jobresults.populate.caller import Caller, Reply, Request
from jobresults.populate.tally import Tally

_T = TypeVar("_T")

# What a caller does: it yields the `time.monotonic()` at which it wants to go on.
Steps = Generator[float, None, _T]


class GaveUp(Exception):
    """No answer that says anything in all the time there was."""


@dataclass(frozen=True)
class Asking:
    """How requests are sent. `slow_down` is told when the service wants no more work for now."""

    caller: Caller
    tally: Tally
    patience_seconds: float
    slow_down: Callable[[float], None]

    def ask(self, operation: str, request: Request, due: float) -> Steps[Reply]:
        """The first answer that is no failure of the moment; how long it took counts from `due`.

        Raises:
            GaveUp
            AuthenticationFailed: the token is not, or no longer, good for this.
        """
        retries = pauses(time.monotonic() + self.patience_seconds + request.wait_seconds)
        next(retries)
        again = due
        while True:
            self.tally.sent(time.monotonic() - again)
            answer = self._answer(request)
            if isinstance(answer, Reply):
                self.tally.took(operation, time.monotonic() - due)
                return answer
            try:
                pause = retries.send(answer)
            except StopIteration:
                raise GaveUp(f"{request.method} {request.path}: {answer}") from answer
            again = time.monotonic() + pause
            if answer.status == 429:
                self.slow_down(again)
            yield again

    def _answer(self, request: Request) -> Reply | ClientError:
        """The answer, or why there was none worth it."""
        try:
            reply = self.caller.send(request)
        except ServiceUnavailable as error:
            self.tally.erred(error.detail.partition(":")[0])
            return error
        if reply.status in (401, 403):
            raise reply.failure()
        if reply.asks_for_another_try:
            self.tally.erred(f"{reply.status} {reply.code}".strip())
            return reply.failure()
        return reply
