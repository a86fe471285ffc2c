"""What an executor and its supervisor tell each other at once, in shared memory: which job runs
since when, which is to be canceled, which may not begin any more, what of its words is not kept.
"""

from __future__ import annotations

import ctypes
import mmap
import multiprocessing
import time

_LOCK_SECONDS = 1.0
NO_STATUS = -1


class _Fields(ctypes.Structure):
    _fields_ = [
        ("begun", ctypes.c_uint64),
        ("begun_at_seconds", ctypes.c_double),
        ("reported", ctypes.c_uint64),
        ("canceled", ctypes.c_uint64),
        ("taken_back_below", ctypes.c_uint64),
        ("child_pid", ctypes.c_int64),
        ("child_status", ctypes.c_int64),
        ("child_max_rss_kib", ctypes.c_int64),
        ("cut_lines", ctypes.c_uint64),
        ("cut_bytes", ctypes.c_uint64),
    ]


class Board:
    """One executor's, made before the fork. Jobs bear the numbers they were sent under, from 1."""

    def __init__(self) -> None:
        self._fields = _Fields.from_buffer(mmap.mmap(-1, ctypes.sizeof(_Fields)))
        self._fields.child_status = NO_STATUS
        self._lock = multiprocessing.get_context("fork").Lock()

    def begin(self, number: int) -> bool:
        """The executor begins a job; False if its supervisor has taken that back."""
        with self._lock:
            if number < self._fields.taken_back_below:
                return False
            self._fields.begun_at_seconds = time.monotonic()
            self._fields.begun = number
            return True

    def take_back(self, next_number: int) -> int | None:
        """Keep the executor from beginning anything sent before `next_number`. Returns the last job
        it has begun; None if it does not let go of the lock, since it was killed while holding it.
        """
        if not self._lock.acquire(timeout=_LOCK_SECONDS):
            return None
        try:
            self._fields.taken_back_below = next_number
            return int(self._fields.begun)
        finally:
            self._lock.release()

    @property
    def begun(self) -> int:
        """The job begun last; 0 if there was none."""
        return int(self._fields.begun)

    @property
    def begun_at_seconds(self) -> float:
        """When that was, by the machine's monotonic clock."""
        return float(self._fields.begun_at_seconds)

    def report(self, number: int) -> None:
        """The job's outcome was sent."""
        self._fields.reported = number

    def has_reported(self, number: int) -> bool:
        return bool(self._fields.reported == number)

    def cancel(self, number: int) -> None:
        self._fields.canceled = number

    def is_canceled(self, number: int) -> bool:
        return bool(self._fields.canceled == number)

    def note_cut(self, lines: int, size_bytes: int) -> None:
        """So much of what the running job has said is not kept, and it has not told that yet."""
        self._fields.cut_lines, self._fields.cut_bytes = lines, size_bytes

    @property
    def cut(self) -> tuple[int, int]:
        """How many lines and bytes that are."""
        return int(self._fields.cut_lines), int(self._fields.cut_bytes)

    @property
    def child_pid(self) -> int:
        """The process forked for the running job alone, if there is one; its group bears the same
        number.
        """
        return int(self._fields.child_pid)

    @child_pid.setter
    def child_pid(self, pid: int) -> None:
        self._fields.child_pid = pid

    def child_ended(self, status: int, max_rss_kib: int) -> None:
        """It has ended without an outcome."""
        self._fields.child_max_rss_kib = max_rss_kib
        self._fields.child_status = status

    @property
    def child_end(self) -> tuple[int, int] | None:
        """Its exit status and the most memory it used, in KiB."""
        if self._fields.child_status == NO_STATUS:
            return None
        return int(self._fields.child_status), int(self._fields.child_max_rss_kib)
