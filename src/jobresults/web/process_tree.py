"""`process_*` of a web server: its master and its workers together."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

# Places in /proc/<pid>/stat after the name of the command: see proc(5).
_USER, _SYSTEM, _CHILDREN_USER, _CHILDREN_SYSTEM = 11, 12, 13, 14
_STARTED, _VIRTUAL, _RESIDENT = 19, 20, 21
_LOOKS = 5


@dataclass
class _Sums:
    cpu_ticks: int = 0
    started_ticks: int = 0
    virtual_bytes: int = 0
    resident_pages: int = 0
    open_files: int = 0


class ProcessTree(Collector):
    """Sums over a process and its children but this one. Linux only; elsewhere there is nothing."""

    def __init__(self, pid: int) -> None:
        self._root = Path("/proc", str(pid))

    def collect(self) -> Iterable[Metric]:
        """Called at each scrape."""
        try:
            return _metrics(self._sums())
        except OSError:  # no /proc, or the process is gone
            return []

    def _sums(self) -> _Sums:
        """A child's time goes to its parent's account when it has ended: not to miss it or count it
        twice, look again if that has happened meanwhile.
        """
        for _ in range(_LOOKS):
            root = _stat(self._root)
            sums = self._sums_beside(root)
            if _of_ended(_stat(self._root)) == _of_ended(root):
                break
        return sums

    def _sums_beside(self, root: list[int]) -> _Sums:
        sums = _Sums(cpu_ticks=_of_ended(root), started_ticks=root[_STARTED])
        for process in (self._root, *self._children()):
            with suppress(OSError):  # it ended just now
                stat = _stat(process)
                sums.cpu_ticks += stat[_USER] + stat[_SYSTEM]
                sums.virtual_bytes += stat[_VIRTUAL]
                sums.resident_pages += stat[_RESIDENT]
                sums.open_files += len(os.listdir(process / "fd"))
        return sums

    def _children(self) -> Iterator[Path]:
        for task in (self._root / "task").iterdir():
            for pid in (task / "children").read_text().split():
                if int(pid) != os.getpid():
                    yield Path("/proc", pid)


def _of_ended(stat: list[int]) -> int:
    return stat[_CHILDREN_USER] + stat[_CHILDREN_SYSTEM]


def _stat(process: Path) -> list[int]:
    # The state, a letter, counts as 0; a command's name may hold blanks and parentheses.
    _, _, numbers = (process / "stat").read_text().rpartition(")")
    return [0, *map(int, numbers.split()[1:])]


def _metrics(sums: _Sums) -> Iterable[Metric]:
    ticks = os.sysconf("SC_CLK_TCK")
    boot = next(
        int(line.split()[1])
        for line in Path("/proc/stat").read_text().splitlines()
        if line.startswith("btime")
    )
    gauges = (
        (
            "resident_memory_bytes",
            "Resident memory",
            sums.resident_pages * os.sysconf("SC_PAGE_SIZE"),
        ),
        ("virtual_memory_bytes", "Virtual memory", sums.virtual_bytes),
        ("open_fds", "Open files", sums.open_files),
    )
    return [
        CounterMetricFamily(
            "process_cpu_seconds_total", "CPU time of master and workers.", sums.cpu_ticks / ticks
        ),
        *(
            GaugeMetricFamily(f"process_{name}", f"{help_} of master and workers.", value)
            for name, help_, value in gauges
        ),
        GaugeMetricFamily(
            "process_start_time_seconds",
            "When the master started, in seconds since 1970.",
            boot + sums.started_ticks / ticks,
        ),
    ]
