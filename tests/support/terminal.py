"""A program on a terminal of its own, as a person sees it and types to it."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

CTRL_C = "\x03"
_STYLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_PATIENCE_SECONDS = 30
# Ctrl-C is a signal only for who has the terminal as its own.
_LOG_IN = "import os, sys; os.login_tty(0); os.execv(sys.argv[1], sys.argv[1:])"
_LOGGED_IN = (sys.executable, "-S", "-c", _LOG_IN)


class Terminal:
    """The program with stdin, stdout and stderr on the terminal; running once constructed."""

    def __init__(
        self, command: Sequence[str], directory: Path, environ: Mapping[str, str], **changes: str
    ) -> None:
        self._end, other = pty.openpty()
        self._process = subprocess.Popen(
            [*_LOGGED_IN, *command],
            cwd=directory,
            env={**environ, "TERM": "xterm", "COLUMNS": "160", "LINES": "40", **changes},
            stdin=other,
            stdout=other,
            stderr=other,
        )
        os.close(other)
        self.raw = ""

    @property
    def text(self) -> str:
        """All that it has shown, without styles."""
        return _STYLE.sub("", self.raw).replace("\r\n", "\n")

    def shows(self, wanted: str) -> None:
        """Wait until it has shown that.

        Raises:
            AssertionError: it did not.
        """
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while wanted not in self.text:
            assert time.monotonic() < deadline, f"no {wanted!r} in:\n{self.text}"
            assert self._read() or wanted in self.text, f"no {wanted!r} in:\n{self.text}"

    def type(self, text: str) -> None:
        os.write(self._end, text.encode())

    def end(self) -> int:
        """Its exit status, once all that it has shown is read."""
        while self._read():
            pass
        return self._process.wait(_PATIENCE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._end)

    def _read(self) -> bool:
        """Whether there may be more; waits for it a little."""
        if not select.select([self._end], [], [], 0.2)[0]:
            return True
        with contextlib.suppress(OSError):  # Linux: how a terminal that nobody holds ends
            if piece := os.read(self._end, 65_536):
                self.raw += piece.decode(errors="replace")
                return True
        return False
