"""Draws `terminal.svg`: a real session of the command line with a service of its own, as a
terminal shows it.

make recording
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE = Path(__file__).with_name("terminal.svg")
# What is typed, in this order. Behind `JOB` stands the id of the job that was submitted last.
COMMANDS = (
    "jobresults submit greet -p name=Ann --wait",
    "jobresults submit export -p rows=4000 -p pause_seconds=0.05 --customer ann --wait",
    "jobresults logs $JOB_ID",
    "jobresults submit export -p rows=0",
    "jobresults list --limit 5",
    "jobresults workers",
    "jobresults doctor",
)
COLUMNS, ROWS = 120, 40
_TASKS = re.compile(r"^```python\n# shop_tasks\.py\b.*?\n(.*?)^```", re.MULTILINE | re.DOTALL)
_CONFIGURATION = "tasks: {modules: [jobresults.tasks.score, shop_tasks]}\n"
_START_SECONDS = 60.0
_SHORT = 5  # bars drawn so seldom show nothing
_CONTROL = re.compile(r"\x1b\[([\d;?]*)([A-Za-z])|\x1b[^\[]|[\r\n\b]|[^\x1b\r\n\b]+")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Style = tuple[str, ...]


class Screen:
    """What a terminal of endless height shows after all that was written to it."""

    def __init__(self) -> None:
        self.lines: list[list[tuple[str, Style]]] = [[]]
        self._row = self._column = 0
        self._style: Style = ()

    def write(self, text: str) -> None:
        for found in _CONTROL.finditer(text):
            if found[2]:
                self._control(found[1], found[2])
            elif found[0] == "\n":
                self._row += 1
                if self._row == len(self.lines):
                    self.lines.append([])
            elif found[0] == "\r":
                self._column = 0
            elif not found[0].startswith(("\x1b", "\b")):
                for character in found[0]:
                    self._put(character)

    def _control(self, numbers: str, letter: str) -> None:
        first = int(numbers) if numbers.isdigit() else 1
        if letter == "m":
            self._style = _styled(self._style, numbers)
        elif letter == "A":
            self._row = max(0, self._row - first)
        elif letter == "K":
            del self.lines[self._row][0 if numbers == "2" else self._column :]

    def _put(self, character: str) -> None:
        if self._column == COLUMNS:
            self.write("\r\n")
        line = self.lines[self._row]
        line.extend([(" ", ())] * (self._column + 1 - len(line)))
        line[self._column] = (character, self._style)
        self._column += 1


def _styled(style: Style, numbers: str) -> Style:
    """The classes that hold after a `CSI … m`; of colors the sixteen by name, others by number."""
    kept = set(style)
    codes = [int(number or 0) for number in numbers.split(";")]
    while codes:
        code = codes.pop(0)
        if code == 0:
            kept.clear()
        elif code in (1, 2, 3):
            kept.add({1: "bold", 2: "dim", 3: "italic"}[code])
        elif code == 39 or 30 <= code <= 37 or 90 <= code <= 97 or code == 38:
            kept = {name for name in kept if not name.startswith("c")}
            if code == 38 and codes[:1] == [5]:
                kept.add(f"c{codes[1]}")
                codes = codes[2:]
            elif code != 39:
                kept.add(f"c{code - 30 if code < 90 else code - 82}")
    return tuple(sorted(kept))


@contextmanager
def service(directory: Path) -> Iterator[dict[str, str]]:
    """`jobresults up` there, with the tasks of `docs/tasks.md`; the environment of its callers."""
    tasks = "".join(_TASKS.findall((ROOT / "docs/tasks.md").read_text()))
    (directory / "shop_tasks.py").write_text(tasks)
    (directory / "config.yaml").write_text(_CONFIGURATION)
    environ = {
        "HOME": str(directory),
        "LANG": "C.UTF-8",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(directory),
        "TERM": "xterm-256color",
        "TMPDIR": str(directory),
    }
    command = ["jobresults", "up", "--port", "0"]
    with (directory / "up.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=directory, env=environ, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not (directory / ".jobresults/url").exists():
            if process.poll() is not None or time.monotonic() > deadline:
                sys.exit((directory / "up.log").read_text())
            time.sleep(0.1)
        yield environ
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()


def typed(command: str, directory: Path, environ: dict[str, str]) -> Iterator[str]:
    """What the command writes to its terminal, as it comes."""
    terminal, other_end = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    process = subprocess.Popen(
        ["bash", "-c", command],
        cwd=directory,
        env=environ,
        stdin=other_end,
        stdout=other_end,
        stderr=other_end,
    )
    os.close(other_end)
    try:
        while text := os.read(terminal, 65_536):
            yield text.decode(errors="replace")
    except OSError:  # the last writer has gone
        pass
    finally:
        os.close(terminal)
        process.wait()


def record(directory: Path, environ: dict[str, str]) -> list[list[tuple[str, Style]]]:
    """The lines of the whole session. A bar, which its command takes away in the end, stays as it
    was when two thirds of its time were over.
    """
    lines: list[list[tuple[str, Style]]] = []
    job = ""
    for command in COMMANDS:
        typed_command = command.replace("$JOB_ID", job)
        lines.append([("$", ("prompt",)), *((letter, ("bold",)) for letter in f" {typed_command}")])
        screen, bars = Screen(), list[list[tuple[str, Style]]]()
        for text in typed(typed_command, directory, environ):
            screen.write(text)
            bars += [list(line) for line in screen.lines if "━" in _plain(line)]
        shown = [line for line in screen.lines if line]
        if len(bars) > _SHORT:
            at = next(at for at, line in enumerate(shown) if "accepted" in _plain(line))
            shown.insert(at + 1, bars[len(bars) * 2 // 3])
        found = _UUID.search("".join(map(_plain, shown)))
        job = found[0] if found else job
        lines += [*shown, []]
    return lines[:-1]


def _plain(line: list[tuple[str, Style]]) -> str:
    return "".join(character for character, _ in line)


_WIDTH, _HEIGHT, _LEFT, _TOP = 8.43, 19, 18, 52
# xterm's sixteen, as legible on the dark ground.
_COLORS = ("6e7681 ff7b72 7ee787 e3b341 79c0ff d2a8ff 76e3ea c9d1d9 " * 2).split()
_STYLE = """
    text { font: 14px ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace }
    text { fill: #e6edf3; white-space: pre } .prompt { fill: #7ee787 }
    .bold { font-weight: 700 } .dim { opacity: .65 } .italic { font-style: italic }
"""


def _color(number: int) -> str:
    """Of xterm's 256."""
    if number < 16:
        return f"#{_COLORS[number]}"
    if number >= 232:
        return "#" + f"{8 + 10 * (number - 232):02x}" * 3
    levels = (0, 95, 135, 175, 215, 255)
    places = ((number - 16) // 36, (number - 16) // 6 % 6, (number - 16) % 6)
    return "#" + "".join(f"{levels[place]:02x}" for place in places)


def draw(lines: list[list[tuple[str, Style]]], home: str) -> str:
    """The session as a picture: dark in light pages too, as terminals are; no font is fetched. The
    directory it ran in is a `~`.
    """
    width = round(2 * _LEFT + COLUMNS * _WIDTH)
    height = _TOP + len(lines) * _HEIGHT + 8
    names = {name for line in lines for _, style in line for name in style if name[1:].isdigit()}
    colors = " ".join(f".{name} {{ fill: {_color(int(name[1:]))} }}" for name in sorted(names))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'aria-label="A session of the jobresults command line">',
        f"<style>{_STYLE}    {colors}\n</style>",
        f'<rect width="{width}" height="{height}" rx="9" fill="#0d1117" stroke="#30363d"/>',
        *(f'<circle cx="{22 + 20 * at}" cy="20" r="6" fill="#{color}"/>' for at, color in _LIGHTS),
    ]
    for number, line in enumerate(lines):
        column, y = 0, _TOP + number * _HEIGHT
        for style, cells in groupby(line, key=lambda cell: cell[1]):
            text = _plain(list(cells)).replace(home, "~")
            # Some renderers drop leading spaces, so none are drawn.
            column, text = column + len(text) - len(text.lstrip()), text.lstrip()
            if text:
                x = _LEFT + column * _WIDTH
                classes = f' class="{" ".join(style)}"' if style else ""
                # The browser's font may be wider or narrower than ours: columns stay columns.
                length = f'textLength="{len(text) * _WIDTH:.1f}" lengthAdjust="spacingAndGlyphs"'
                parts.append(f'<text x="{x:.1f}" y="{y}" {length}{classes}>{_kept(text)}</text>')
            column += len(text)
    return "\n".join([*parts, "</svg>", ""])


def _kept(text: str) -> str:
    """As XML, with spaces that no renderer folds."""
    return escape(text).replace(" ", "\u00a0")


_LIGHTS = ((0, "ff5f57"), (1, "febc2e"), (2, "28c840"))

if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="jr-recording-") as place:
        with service(Path(place)) as callers:
            session = record(Path(place), callers)
        picture = draw(session, place)
    FILE.write_text(picture)
    print(f"{FILE.relative_to(ROOT)}: {len(session)} lines")
