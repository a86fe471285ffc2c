"""Draws `alert.svg`: a real notification, rendered by the service's own code, as Slack shows it.

.venv/bin/python docs/pictures/alert.py
"""

from __future__ import annotations

import re
import textwrap
from html import escape, unescape
from pathlib import Path

from jobresults.alerts import blocks
from jobresults.alerts.model import Entry, Group, Kind, Links, Notification, Sample, Severity

FILE = Path(__file__).with_name("alert.svg")

_BEGAN_MS = 1_790_000_000_000
_JOB_ID = "0199f3c2-7a1b-7c3d-8e4f-0123456789ab"
_FRAMES = """\
  File "src/jobresults/tasks/score/__init__.py", line 61, in score
    features = build_features(read_messages(params.messages))
  File "src/jobresults/tasks/score/messages.py", line 88, in read_messages
    amount = Decimal(match["amount"].replace(",", ""))
decimal.InvalidOperation: [<class 'decimal.ConversionSyntax'>]"""

NOTIFICATION = Notification(
    Kind.GROWN,
    (
        Entry(
            Group(
                fingerprint="9d1c",
                severity=Severity.ERROR,
                service="jobresults",
                environment="production",
                count=120,
                first_ms=_BEGAN_MS,
                last_ms=_BEGAN_MS + 300_000,
                sample=Sample(
                    title="InvalidOperation",
                    message="job 0199f3c2 (score) failed for good: amount '12,5O' is no number",
                    logger="jobresults.worker.verdicts",
                    frames=_FRAMES,
                    job_id=_JOB_ID,
                    task="score",
                    queue="default",
                    attempt=3,
                    customer="acme-bank",
                    client="crm",
                ),
                pods={"worker-0": 51, "worker-2": 33, "worker-1": 20, "worker-3": 9, "worker-4": 7},
                versions={"1.4.2": _BEGAN_MS},
                job_count=97,
                customer_count=4,
            ),
            Links(*(f"https://example.com/{name}" for name in ("runbook", "job", "s", "l", "q"))),
            owner="team-scoring",
            count_before=3,
        ),
    ),
)

_WIDTH, _LEFT, _LINE = 820, 76, 20
_STYLE = """
    text { font: 14px 'DejaVu Sans', 'Segoe UI', system-ui, sans-serif; fill: #1d1c1d; }
    .name { font-weight: 700; font-size: 15px; } .small { font-size: 11.5px; fill: #616061; }
    .b { font-weight: 700; } .i { font-style: italic; } .a { fill: #1264a3; }
    .code { font: 11.5px 'DejaVu Sans Mono', Menlo, Consolas, monospace; }
"""
_COLORS = {"🔴": "#e01e5a", "🟠": "#e8912d", "🚨": "#a30200", "✅": "#2eb67d"}
_TOKEN = re.compile(
    r"<!date\^[^|]*\|(?P<date>[^>]*)>|<(?P<url>[^|>]+)\|(?P<label>[^>]+)>|\*(?P<bold>[^*\n]+)\*"
)


class Drawing:
    """Lines from top to bottom."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.y = 34

    def line(self, x: float, y: float, text: str, css: str = "") -> None:
        """One line of Slack's mrkdwn."""
        self.parts.append(f'<text x="{x}" y="{y}" class="{css}">{_spans(text)}</text>')

    def header(self) -> None:
        """Who writes."""
        self.parts.append('<rect x="24" y="20" width="38" height="38" rx="6" fill="#0f172a"/>')
        self.parts.append('<text x="43" y="45" text-anchor="middle" style="fill:#fff">jr</text>')
        self.line(_LEFT, self.y, "Job results", "name")
        self.parts.append('<rect x="170" y="22" width="32" height="16" rx="3" fill="#e8e8e8"/>')
        self.line(174, self.y, "APP", "small")
        self.y += 26

    def section(self, text: str, css: str = "") -> None:
        """A paragraph; a mark of severity at its beginning becomes a disc."""
        if text.startswith("```"):
            self.code(text.strip("`\n").split("\n"))
            return
        for number, line in enumerate(_wrapped(text, 96)):
            x = _LEFT
            for mark, color in _COLORS.items():
                if number == 0 and mark in line:
                    self.parts.append(f'<circle cx="83" cy="{self.y - 5}" r="7" fill="{color}"/>')
                    line, x = line.replace(f"{mark} ", "", 1), _LEFT + 22
            self.line(x, self.y, line, css)
            self.y += _LINE
        self.y += 6

    def fields(self, texts: list[str]) -> None:
        """Two columns."""
        for left in range(0, len(texts), 2):
            height = 0
            for column, text in enumerate(texts[left : left + 2]):
                lines = [part for line in text.split("\n") for part in _wrapped(line, 46)]
                for number, line in enumerate(lines):
                    self.line(_LEFT + 370 * column, self.y + number * 19, line)
                height = max(height, len(lines) * 19)
            self.y += height + 7

    def code(self, lines: list[str]) -> None:
        """A box of fixed pitch."""
        box = f'x="{_LEFT}" y="{self.y - 12}" width="{_WIDTH - _LEFT - 24}"'
        height = 16 * len(lines) + 12
        self.parts.append(f'<rect {box} height="{height}" rx="4" fill="#f8f8f8" stroke="#ddd"/>')
        for number, line in enumerate(lines):
            text = escape(unescape(line.lstrip()))
            indent = 7 * (len(line) - len(line.lstrip()))  # some programs drop leading spaces
            at = f'x="{_LEFT + 9 + indent}" y="{self.y + 5 + 16 * number}"'
            self.parts.append(f'<text {at} class="code">{text}</text>')
        self.y += height + 12

    def svg(self) -> str:
        """The document."""
        size = f'viewBox="0 0 {_WIDTH} {self.y}"'
        label = escape(unescape(blocks.message(NOTIFICATION).text), quote=True)
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{label}">',
                f"  <style>{_STYLE}  </style>",
                f'  <rect width="{_WIDTH}" height="{self.y}" fill="#ffffff"/>',
                *(f"  {part}" for part in self.parts),
                "</svg>\n",
            ]
        )


def _wrapped(text: str, characters: int) -> list[str]:
    """Markup is not counted, and not broken."""
    if len(_TOKEN.sub(lambda found: _shown(found), unescape(text))) <= characters:
        return [text]
    return textwrap.wrap(text, characters, break_long_words=False)


def _shown(found: re.Match[str]) -> str:
    return found["date"] or found["label"] or found["bold"]


def _spans(text: str) -> str:
    parts, end = [], 0
    for found in _TOKEN.finditer(text):
        css = "b" if found["bold"] else "a" if found["label"] else ""
        parts.append(escape(unescape(text[end : found.start()])))
        parts.append(f'<tspan class="{css}">{escape(unescape(_shown(found)))}</tspan>')
        end = found.end()
    return "".join([*parts, escape(unescape(text[end:]))])


def draw() -> str:
    """The picture of the message's blocks."""
    drawing = Drawing()
    drawing.header()
    for block in blocks.message(NOTIFICATION).blocks:
        if "fields" in block:
            drawing.fields([field["text"] for field in block["fields"]])
        elif block["type"] == "context":
            drawing.section(block["elements"][0]["text"])
        else:
            drawing.section(block["text"]["text"])
    return drawing.svg()


if __name__ == "__main__":
    FILE.write_text(draw(), encoding="utf-8")
