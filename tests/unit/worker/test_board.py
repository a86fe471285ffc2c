"""What an executor and its supervisor agree on, they agree on at once."""

from __future__ import annotations

import os
import socket

import pytest

from jobresults.worker.board import Board


def test_what_was_taken_back_does_not_begin() -> None:
    board = Board()
    assert board.begin(1)
    assert board.take_back(4) == 1
    assert [number for number in range(2, 7) if board.begin(number)] == [4, 5, 6]


def test_a_job_either_begins_or_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes race; red if `begin` or `take_back` does not hold the lock."""
    monkeypatch.setattr("jobresults.worker.board._LOCK_SECONDS", 30)
    boards, (ours, theirs) = [Board() for _ in range(50)], socket.socketpair()
    # Once: under coverage each child that leaves writes down all that was counted so far.
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            for board in boards:
                theirs.recv(1)
                begun = sum(board.begin(number) for number in range(1, 1_000))
                theirs.send(begun.to_bytes(2))
        finally:
            os._exit(0)
    theirs.close()
    with ours:
        for board in boards:
            ours.send(b"x")
            while not board.begun:
                pass  # sleeping, it would miss the race
            last = board.take_back(1_000)
            assert int.from_bytes(ours.recv(2)) == last
    os.waitpid(pid, 0)


def test_a_lock_that_died_with_its_holder_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobresults.worker.board._LOCK_SECONDS", 0.05)
    board = Board()
    pid = os.fork()
    if pid == 0:
        board._lock.acquire()
        os._exit(0)
    os.waitpid(pid, 0)
    assert board.take_back(2) is None
