"""A notification as a Slack message: Block Kit, within Slack's limits.

Foreign text is escaped, so that none of it pings a channel or makes a link of its own.
https://docs.slack.dev/messaging/formatting-message-text#escaping
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from jobresults.alerts import wording
from jobresults.alerts.model import Entry, Kind, Notification

# Slack takes 3,000 characters a section and about 13,000 a message; counted as they are sent.
_HEADLINE_CHARACTERS = 600
_MESSAGE_CHARACTERS = 1_000
_FRAMES_CHARACTERS = 2_500
_FACT_CHARACTERS = 400
_LINKS_CHARACTERS = 2_800
_DIGEST_CHARACTERS = 9_000
_DIGEST_SECTION_CHARACTERS = 2_800
_DIGEST_LINE_CHARACTERS = 600
_MAX_FIELDS = 10

Block = dict[str, Any]


@dataclass(frozen=True)
class SlackMessage:
    """`text` stands in notifications, and alone where blocks are refused."""

    text: str
    blocks: list[Block]


def message(notification: Notification) -> SlackMessage:
    """The message as Slack takes it."""
    headline = escape(wording.headline(notification), _HEADLINE_CHARACTERS)
    blocks = [_section(f"*{_unstyled(headline)}*")]
    note = wording.note(notification)
    if note:
        blocks.append(_context(f"_{_unstyled(escape(note, 600))}_"))
    if notification.kind is Kind.DIGEST:
        blocks += _digest(notification.entries)
    else:
        (entry,) = notification.entries
        blocks += _problem(entry)
    return SlackMessage(headline, blocks)


def plain_text(notification: Notification) -> str:
    """The same without blocks, should Slack refuse them."""
    lines = [wording.headline(notification), wording.note(notification) or ""]
    for entry in notification.entries[:10]:
        digest = notification.kind is Kind.DIGEST
        lines += [wording.summary(entry)] if digest else _fact_lines(entry)
    texts = [escape(line, 800) for line in lines if line]
    for entry in notification.entries[:1]:
        texts += [f"{link.label}: {_address(link.url)}" for link in wording.links(entry)]
    return "\n".join(texts)[:12_000]


def thread_reply(entry: Entry) -> str:
    """What is said in the thread of a problem that is over."""
    return escape(wording.quiet(entry), 200)


def escape(text: str, characters: int) -> str:
    """The text as Slack shows it literally, at most so many characters once it is escaped."""
    return _shortened(text, characters)


def _problem(entry: Entry) -> list[Block]:
    sample = entry.group.sample
    blocks: list[Block] = []
    said = wording.message(sample, _MESSAGE_CHARACTERS)
    if said:
        blocks.append(_section(_unstyled(escape(said, _MESSAGE_CHARACTERS))))
    fields = [
        {"type": "mrkdwn", "text": f"*{fact.label}*\n{_fact(fact)}"}
        for fact in wording.facts(entry)
    ]
    blocks.append({"type": "section", "fields": fields[:_MAX_FIELDS]})
    frames = wording.frames(sample)
    if frames:
        shown = _shortened(frames.replace("```", "'''"), _FRAMES_CHARACTERS, keep_end=True)
        blocks.append(_section(f"```\n{shown}\n```"))
    links = _links(entry)
    if links:
        blocks.append(_context(links))
    return blocks


def _digest(entries: Iterable[Entry]) -> list[Block]:
    """One line a problem, as many as there is room for."""
    blocks: list[Block] = []
    section, used, left = "", 0, list(entries)
    while left and used < _DIGEST_CHARACTERS:
        entry = left.pop(0)
        line = _unstyled(escape(wording.summary(entry), _DIGEST_LINE_CHARACTERS))
        links = _links(entry, _DIGEST_LINE_CHARACTERS)
        line += f"  {links}\n" if links else "\n"
        if len(section) + len(line) > _DIGEST_SECTION_CHARACTERS:
            blocks.append(_section(section))
            section = ""
        section, used = section + line, used + len(line)
    if section:
        blocks.append(_section(section))
    if left:
        blocks.append(_context(f"… and {len(left)} more: `jobresults alerts list`"))
    return blocks


def _fact(fact: wording.Fact) -> str:
    text = escape(fact.text, _FACT_CHARACTERS)
    if fact.at_ms is None:
        return _unstyled(text)
    # Each reader sees it in their own time zone.
    return f"<!date^{fact.at_ms // 1000}^{{date_short_pretty}} {{time_secs}}|{text}>"


def _fact_lines(entry: Entry) -> list[str]:
    return [f"{fact.label}: {fact.text}" for fact in wording.facts(entry)]


def _links(entry: Entry, characters: int = _LINKS_CHARACTERS) -> str:
    """As many as there is room for: half a link is none."""
    text = ""
    for label, url in wording.links(entry):
        link = f"<{_address(url)}|{label}>"
        joined = f"{text} · {link}" if text else link
        if len(joined) <= characters:
            text = joined
    return text


def _address(url: str) -> str:
    return url.translate({ord("|"): "%7C", ord("<"): "%3C", ord(">"): "%3E", ord("&"): "&amp;"})


_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def _shortened(text: str, characters: int, *, keep_end: bool = False) -> str:
    """Escaped, and cut between characters of the original, never within an entity."""
    kept: list[str] = []
    room = characters - 1
    for character in reversed(text) if keep_end else text:
        piece = _ENTITIES.get(character, character)
        room -= len(piece)
        if room < 0:
            kept.append("…")
            break
        kept.append(piece)
    return "".join(reversed(kept) if keep_end else kept)


def _unstyled(text: str) -> str:
    """Without characters that would begin or end bold, italic, struck or code."""
    return text.translate({ord("*"): "∗", ord("`"): "'", ord("~"): "∼"})


def _section(text: str) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _context(text: str) -> Block:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text}]}
