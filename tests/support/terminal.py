"""A program at a terminal, as a person sits before it."""

from __future__ import annotations

import os
import re
import select
import subprocess
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
            stdin=other_end,
            stdout=other_end,
            stderr=other_end,
        )
        os.close(other_end)  # so that the end of the program is the end of what is shown

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

    @property
    def text(self) -> str:
        """All that was shown, without styles."""
        return _STYLE.sub("", self.shown).replace("\r\n", "\n")

    def shows(self, text: str) -> None:
        """Wait until this has been shown."""
        while text not in self.text:
            assert self._read(), f"{text!r} is not in {self.text!r}"

    def waits(self) -> None:
        """Wait until it waits, too: Python may miss a Ctrl-C that comes just as it begins to."""
        sleeps = psutil.STATUS_SLEEPING
        eventually(lambda: psutil.Process(self._process.pid).status() == sleeps, "it waits")

    def types(self, text: str) -> None:
        """Press these keys."""
        os.write(self._screen, text.encode())

    def end(self) -> int:
        """The exit code, once it has ended and all is shown."""
        while self._read():
            pass
        return self._process.wait(_PATIENCE_SECONDS)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._screen], [], [], _PATIENCE_SECONDS)
        if not ready:
            return False
        try:
            got = os.read(self._screen, 65_536)
        except OSError:  # EIO: nobody has it open any more
            return False
        self.shown += got.decode(errors="replace")
        return bool(got)
