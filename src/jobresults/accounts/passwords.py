"""Hashes of people's passwords: argon2id, computed where it keeps nobody else waiting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import argon2

from jobresults.errors import TooManyRequests

# OWASP's first choice: 19 MiB and some 30 ms for each guess.
_HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
# Of a password that nobody has; unknown names take as long as known ones.
_NOBODYS = (
    "$argon2id$v=19$m=19456,t=2,p=1$3QkME2dFSRVC9OCYs0FS4g$"
    "4tyCfFNZEFZvSJ37X2gViz5YZuBf+LGR8bvfi/jIxjk"
)
_MAX_WAITING = 50

Run = Callable[..., Any]


def here(function: Callable[..., Any], *arguments: Any) -> Any:
    """Run it in this very thread."""
    return function(*arguments)


class Passwords:
    """Hashes and compares. `run(function, *arguments)` chooses the thread: a web process has a few
    for this, or each hash would stop all its requests.
    """

    def __init__(self, run: Run = here) -> None:
        self._run = run
        self._waiting = 0

    def hash(self, password: str) -> str:
        """What is kept of a password.

        Raises:
            TooManyRequests: too many others wait for theirs.
        """
        return str(self._in_turn(_HASHER.hash, password))

    def is_right(self, password_hash: str | None, password: str) -> bool:
        """Whether the hash is this password's; None: there is no such person, which takes as long.

        Raises:
            TooManyRequests: too many others wait for theirs.
        """
        found = self._in_turn(_matches, password_hash or _NOBODYS, password)
        return bool(found) and password_hash is not None

    def _in_turn(self, function: Callable[..., Any], *arguments: Any) -> Any:
        if self._waiting >= _MAX_WAITING:
            raise TooManyRequests("too many people log in at once; try again", 1)
        self._waiting += 1
        try:
            return self._run(function, *arguments)
        finally:
            self._waiting -= 1


def _matches(password_hash: str, password: str) -> bool:
    try:
        return _HASHER.verify(password_hash, password)
    except argon2.exceptions.VerifyMismatchError:
        return False
