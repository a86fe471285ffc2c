"""A program at a terminal, as a person sits before it."""

from __future__ import annotations

import os
import re
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tests.services.process import eventually

CTRL_C = "\x03"
_PATIENCE_SECONDS = 30.0
_STYLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
# The first terminal that a session's leader opens is the one whose Ctrl-C reaches it.
_AT_TERMINAL = 'exec "$@" <"$0" >"$0" 2>"$0"'


class Terminal:
    """Runs a command whose input and output are one terminal; what it shows is kept."""

    def __init__(
        self, command: Sequence[str], directory: Path, environ: Mapping[str, str], **changes: str
    ) -> None:
        self._screen, other_end = os.openpty()
        self.shown = ""
        self._process = subprocess.Popen(
            ["sh", "-c", _AT_TERMINAL, os.ttyname(other_end), *command],
            cwd=directory,
            env={**environ, "TERM": "xterm", "COLUMNS": "160", **changes},
            start_new_session=True,
            stdin=subprocess.DEVNULL,
        )
        self._other_end: int | None = other_end

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
        os.close(self._screen)
        self._release()

    @property
    def text(self) -> str:
        """All that was shown, without styles."""
        return _STYLE.sub("", self.shown).replace("\r\n", "\n")

    def shows(self, text: str) -> None:
        """Wait until this has been shown."""
        while text not in self.text:
            assert self._read(), f"{text!r} is not in {self.text!r}"

    def types(self, text: str) -> None:
        """Press these keys, once it does nothing but wait: Python sleeps through a Ctrl-C that
        comes just before it begins to read.
        """
        program = psutil.Process(self._process.pid)
        eventually(lambda: program.status() == psutil.STATUS_SLEEPING, "it waits")
        os.write(self._screen, text.encode())

    def end(self) -> int:
        """The exit code, once it has ended and all is shown."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while self._process.poll() is None and time.monotonic() < deadline:
            self._read(within_seconds=0.05)
        self._release()
        while self._read():
            pass
        return self._process.wait(_PATIENCE_SECONDS)

    def _release(self) -> None:
        """From now on the end of the program is the end of what is shown."""
        if self._other_end is not None:
            os.close(self._other_end)
            self._other_end = None

    def _read(self, *, within_seconds: float = _PATIENCE_SECONDS) -> bool:
        ready, _, _ = select.select([self._screen], [], [], within_seconds)
        if not ready:
            return False
        try:
            got = os.read(self._screen, 65_536)
        except OSError:  # EIO: nobody has it open any more
            return False
        self.shown += got.decode(errors="replace")
        return bool(got)
