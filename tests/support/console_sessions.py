"""Console sessions as documents show them: commands behind `$`, and below each what it prints."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

_BLOCK = re.compile(
    r"(?:^<!-- during: (?P<during>[^>]+?) -->\n)?^```console\n(?P<text>.*?)^```", re.M | re.DOTALL
)


@dataclass(frozen=True)
class Step:
    """A command, what the document shows as its output, and where it stands.

    `during` is what has to be the case meanwhile: the block has a comment in front that says so,
    `<!-- during: … -->`, which readers do not see.
    """

    command: str
    shown: str
    line: int
    during: str | None = None


def steps_in(text: str) -> Iterator[Step]:
    """The commands of all `console` blocks, in their order."""
    for block in _BLOCK.finditer(text):
        first_line = text.count("\n", 0, block.start("text")) + 1
        yield from _steps_of_block(block["text"], first_line, block["during"])


def commands_of(script: str) -> Iterator[str]:
    """The commands of a shell script, line by line; those that go on over lines are whole."""
    lines = iter(script.splitlines())
    for line in lines:
        command = line
        while _goes_on(command):
            command += "\n" + next(lines)
        yield command


def _steps_of_block(text: str, first_line: int, during: str | None) -> Iterator[Step]:
    lines = text.splitlines()
    assert lines, f"line {first_line}: an empty block"
    assert lines[0].startswith("$ "), f"line {first_line}: not a command: {lines[0]}"
    at = 0
    while at < len(lines):
        begins_at, command = at, lines[at].removeprefix("$ ")
        while _goes_on(command):
            at += 1
            command += "\n" + lines[at]
        at += 1
        shown: list[str] = []
        while at < len(lines) and not lines[at].startswith("$ "):
            shown.append(lines[at])
            at += 1
        yield Step(command, "\n".join(shown).strip("\n"), first_line + begins_at, during)


def _goes_on(command: str) -> bool:
    """Whether a shell would ask for another line."""
    if command.endswith("\\"):
        return True
    try:
        shlex.split(command, comments=True)
    except ValueError:  # a quotation is open
        return True
    return False
