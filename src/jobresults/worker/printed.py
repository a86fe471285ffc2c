"""`sys.stdout` and `sys.stderr` of an executor: they write where they always did, and keep what was
written with the job that runs.
"""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable
from typing import Any, TextIO

from jobresults.worker.ownership import current_log


class Printed(io.TextIOBase):
    """A stream like the one behind it, to which all else goes. Closing it closes nothing, for the
    next job prints there, too.
    """

    def __init__(self, stream: TextIO, name: str) -> None:
        self._stream = stream
        self._name = name
        self._binary: _Binary | None = None

    def write(self, text: str) -> int:
        written = self._stream.write(text)
        self._keep(text)
        return written

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        self.flush()

    @property
    def buffer(self) -> _Binary:
        """Where bytes are written."""
        if self._binary is None:
            self._binary = _Binary(self._stream.buffer, self._keep)
        return self._binary

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return self._stream.errors

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _keep(self, text: str) -> None:
        log = current_log()
        if log is not None:
            log.printed(self._name, text)


class _Binary(io.BufferedIOBase):
    """The bytes' side of such a stream. What is no UTF-8 is kept as `\\xff`."""

    def __init__(self, stream: Any, keep: Callable[[str], None]) -> None:
        self._stream = stream
        self._keep = keep
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def write(self, data: Any) -> int:
        written = int(self._stream.write(data))
        self._keep(self._decoder.decode(bytes(data)))
        return written

    def flush(self) -> None:
        self._stream.flush()

    def close(self) -> None:
        self.flush()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return int(self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
