"""What an executor and its supervisor agree on, they agree on at once."""

from __future__ import annotations

import os

import pytest

from jobresults.worker.board import Board


def test_what_was_taken_back_does_not_begin() -> None:
    board = Board()
    assert board.begin(1)
    assert board.take_back(4) == 1
    assert [number for number in range(2, 7) if board.begin(number)] == [4, 5, 6]


def test_a_job_either_begins_or_is_taken_back() -> None:
    """Two processes race; red if `begin` or `take_back` does not hold the lock."""
    for _ in range(50):
        board, start = Board(), os.pipe()
        pid = os.fork()
        if pid == 0:
            os.read(start[0], 1)
            begun = sum(board.begin(number) for number in range(1, 200))
            os._exit(begun)
        os.write(start[1], b"x")
        last = board.take_back(200)
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == last
        for end in start:
            os.close(end)


def test_a_lock_that_died_with_its_holder_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobresults.worker.board._LOCK_SECONDS", 0.05)
    board = Board()
    pid = os.fork()
    if pid == 0:
        board._lock.acquire()
        os._exit(0)
    os.waitpid(pid, 0)
    assert board.take_back(2) is None
