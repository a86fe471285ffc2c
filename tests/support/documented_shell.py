"""Runs console sessions of documents with a real shell, and holds each output against the page."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from tests.support.console_sessions import Step, steps_in
from tests.support.shown_output import Mismatch, Reader

# What a test of its own runs, for it goes on, or takes long.
_RUN_ELSEWHERE = re.compile(r"make (demo|test|up)\b.*|PYTHONPATH=\. jobresults up")
_ASSIGNMENT = re.compile(r"(?:export )?([A-Z_]+)=\S.*", re.DOTALL)
# Each command of a page is quick; those that wait for a job have its time.
_SECONDS = 40
During = Mapping[str, Callable[[], AbstractContextManager[None]]]


class Shell:
    """A shell in a directory: what a page sets stays set for the commands after it."""

    def __init__(
        self,
        directory: Path,
        environ: Mapping[str, str],
        given: Mapping[str, str],
        during: During,
    ) -> None:
        """`given`: texts of the page, and what stands in their place here."""
        self._directory, self._environ, self._during = directory, dict(environ), during
        self._reader = Reader(given)

    def run_page(self, page: Path) -> int:
        """How many commands the page has; each ran and printed what is shown.

        Raises:
            AssertionError: names the line of the page.
        """
        steps = list(steps_in(page.read_text()))
        for step in steps:
            with self._during[step.during]() if step.during else nullcontext():
                try:
                    self.run(step)
                except (AssertionError, subprocess.TimeoutExpired) as error:
                    error.add_note(f"{page.name}:{step.line}: {step.command}")
                    raise
        return len(steps)

    def run(self, step: Step) -> None:
        """One command.

        Raises:
            Mismatch: something else came than is shown.
        """
        if _RUN_ELSEWHERE.fullmatch(step.command):
            return
        command = self._reader.filled(step.command)
        assignment = _ASSIGNMENT.fullmatch(command)
        if assignment and not step.shown:
            name = assignment[1]
            self._environ[name] = self._output(f'{command}\nprintf %s "${name}"')
            return
        output = self._output(command)
        try:
            self._reader.compare(step.shown, output)
        except Mismatch as error:
            error.add_note(f"printed:\n{output}")
            raise

    def _output(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self._directory,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
        # curl's progress goes to stderr, and so does what our commands say beside their data.
        assert "command not found" not in done.stderr, done.stderr
        return done.stdout if done.stdout else done.stderr
