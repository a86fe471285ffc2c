"""Hashes of passwords, and where they are computed."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import argon2
import pytest

from jobresults.accounts import passwords
from jobresults.accounts.passwords import Passwords
from jobresults.errors import TooManyRequests
from tests.services.process import unmeasured


def test_a_password_matches_its_hash_alone() -> None:
    kept = Passwords().hash("correct horse")
    assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert kept != Passwords().hash("correct horse"), "each has a salt of its own"
    assert Passwords().is_right(kept, "correct horse")
    assert not Passwords().is_right(kept, "correct horsf")


def test_nobodys_password_is_wrong_and_takes_as_much_work() -> None:
    calls: list[tuple[Any, ...]] = []

    def run(function: Any, *arguments: Any) -> Any:
        calls.append((function, *arguments))
        return function(*arguments)

    assert not Passwords(run).is_right(None, "anything")
    ((function, nobodys, given),) = calls
    assert (function, given) == (passwords._matches, "anything")
    known = argon2.extract_parameters(Passwords().hash("x"))
    assert argon2.extract_parameters(nobodys) == known


def test_a_right_password_of_nobody_is_still_wrong() -> None:
    assert not Passwords(lambda *_: True).is_right(None, "anything")


def test_too_many_at_once_are_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_MAX_WAITING", 2)
    go, begun = threading.Event(), threading.Semaphore(0)

    def run(function: Any, *arguments: Any) -> Any:
        begun.release()
        assert go.wait(30)
        return function(*arguments)

    both = Passwords(run)
    with ThreadPoolExecutor(2) as threads:
        calls = [threads.submit(both.hash, "x") for _ in range(2)]
        assert all(begun.acquire(timeout=30) for _ in calls)
        with pytest.raises(TooManyRequests) as caught:
            both.hash("x")
        assert caught.value.retry_after_seconds == 1
        go.set()
        assert all(call.result(30) for call in calls)
    assert both.is_right(both.hash("x"), "x")


def test_other_greenlets_go_on_while_a_hash_is_computed() -> None:
    """What is run waits for a greenlet that could not run if the process stood still."""
    code = """
from gevent import monkey; monkey.patch_all()
import gevent
from gevent.monkey import get_original
from jobresults.web.native_threads import NativeThreads

lock = get_original("_thread", "allocate_lock")()  # one that no greenlet knows of
lock.acquire()
threads = NativeThreads(1)
gevent.spawn_later(0.01, lock.release)
print(threads.run(lock.acquire, True, 30))
try:
    threads.run(int, "x")
except ValueError:
    print("raised")
"""
    run = subprocess.run(
        [sys.executable, "-c", code], env=unmeasured(), capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["True", "raised"]
