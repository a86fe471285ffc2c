"""The numbers of the web server's metrics, in files that its exporter reads.

Each process writes the files of its slot. A slot's next process goes on from where the last one
stopped: counters never fall, and there are no more files than processes at once.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from prometheus_client import multiprocess, values
from prometheus_client.mmap_dict import MmapedDict, mmap_key

MASTER = "master"
_FIRST_BYTES = 1 << 16
_NUMBER_BYTES = 8
_CATALOGUE = "jobresults.telemetry.metrics"


class Value:
    """prometheus_client's place for one number: in memory at first, in a file once a slot is open.

    The library's own takes a lock, looks whose process it is and packs two numbers at each change,
    at ten times the cost. Here greenlets alone change numbers, and none is switched meanwhile.
    """

    __slots__ = ("_cells", "_index", "_key", "_kind")
    _multiprocess = True

    def __init__(
        self,
        typ: str,
        metric_name: str,
        name: str,
        labelnames: Any,
        labelvalues: Any,
        help_text: str,
        multiprocess_mode: str = "",
        **_: Any,
    ) -> None:
        self._kind = f"{typ}_{multiprocess_mode}" if multiprocess_mode else typ
        self._key = mmap_key(metric_name, name, labelnames, labelvalues, help_text)
        self._cells: Any = [0.0]
        self._index = 0
        _values.append(self)
        if _slot is not None:
            self.move_to(_slot)

    def inc(self, amount: float) -> None:
        """Add."""
        self._cells[self._index] += amount

    def set(self, value: float, timestamp: float | None = None) -> None:
        """Replace."""
        self._cells[self._index] = value

    def get(self) -> float:
        """What it is now."""
        return float(self._cells[self._index])

    def set_exemplar(self, exemplar: object) -> None:
        """Files hold none."""

    def get_exemplar(self) -> None:
        """Files hold none."""

    def move_to(self, slot: Slot) -> None:
        """From now on it is the slot's. What was counted in memory goes along; what stands in
        another process's file stays there.
        """
        in_memory = self._cells[self._index] if isinstance(self._cells, list) else 0.0
        self._cells, self._index = slot.place(self._kind, self._key)
        self._cells[self._index] += in_memory


class Slot:
    """The files of one process, in prometheus_client's format: one for each kind of metric."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._name = name
        self._files: dict[str, Any] = {}
        self._cells: dict[str, memoryview[float]] = {}

    def place(self, kind: str, key: str) -> tuple[memoryview[float], int]:
        """Where the number with that key stands, 0 if it is new."""
        file = self._files.get(kind)
        if file is None:
            file = self._files[kind] = self._open(kind)
        file.read_value(key)  # makes it, and may map the file anew
        cells = self._cells.get(kind)
        if cells is None or cells.obj is not file._m:
            cells = self._cells[kind] = memoryview(file._m).cast("d")
        return cells, file._positions[key] // _NUMBER_BYTES

    def _open(self, kind: str) -> Any:
        path = self._directory / f"{kind}_{self._name}.db"
        if not path.exists():
            # Renamed when it is as long as readers expect: MmapedDict's own is empty for a moment.
            file, name = tempfile.mkstemp(dir=self._directory)
            os.ftruncate(file, _FIRST_BYTES)
            os.close(file)
            os.rename(name, path)
        return MmapedDict(str(path))  # type: ignore[no-untyped-call]


_values: list[Value] = []
_slot: Slot | None = None


def install() -> None:
    """Let metrics keep their numbers here. Call it before anything declares one.

    Raises:
        RuntimeError: something did.
    """
    if values.ValueClass is Value:
        return
    if _CATALOGUE in sys.modules:
        raise RuntimeError(f"{_CATALOGUE} was imported too early")
    values.ValueClass = Value


def open_slot(directory: Path, name: str) -> None:
    """From now on this process writes the files of that slot, which no living one has."""
    global _slot
    release_slot(directory, name)
    _slot = Slot(directory, name)
    for value in _values:
        value.move_to(_slot)


def release_slot(directory: Path, name: str) -> None:
    """The slot's process has ended: what it had in progress is gone; what it counted stays."""
    multiprocess.mark_process_dead(name, str(directory))  # type: ignore[no-untyped-call]
