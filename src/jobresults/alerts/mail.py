"""A notification as a mail: plain text and HTML, in a thread with the others of its group."""

from __future__ import annotations

import hashlib
import html
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, make_msgid, parseaddr

from jobresults.alerts import wording
from jobresults.alerts.model import Entry, Group, Kind, Notification
from jobresults.alerts.phrases import line

_MESSAGE_CHARACTERS = 5_000
_FRAMES_CHARACTERS = 20_000
_DIGEST_ENTRIES = 100
_NEW = frozenset({Kind.FIRST, Kind.DIGEST, Kind.TEST})
_STYLE = "font-family:sans-serif;font-size:14px;color:#1d1c1d"
_CODE_STYLE = "background:#f6f6f6;border:1px solid #ddd;padding:8px;font-size:12px;overflow-x:auto"


def message(notification: Notification, sender: str, recipients: Sequence[str]) -> EmailMessage:
    """The mail.

    Raises:
        ValueError: an address that is none.
    """
    mail = EmailMessage(policy=SMTP)
    mail["From"] = sender
    mail["To"] = ", ".join(recipients)
    mail["Date"] = format_datetime(datetime.now(UTC))
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers, please
    domain = parseaddr(sender)[1].rpartition("@")[2] or "localhost"
    _join_thread(mail, notification, domain)
    mail.set_content(_plain(notification))
    mail.add_alternative(_html(notification), subtype="html")
    return mail


def _join_thread(mail: EmailMessage, notification: Notification, domain: str) -> None:
    """Mail programs join what refers to the same message and bears the same subject."""
    if notification.kind in (Kind.DIGEST, Kind.TEST):
        mail["Subject"] = wording.headline(notification)
        mail["Message-ID"] = make_msgid(domain=domain)
        return
    group = notification.entries[0].group
    first_id = f"<{_group_id(group)}@{domain}>"
    subject = f"{wording.MARKS[group.severity]} {group.severity.upper()} {wording.title(group)}"
    subject += f" [{line(f'{group.service} {group.environment}'.strip(), 60)}]"
    if notification.kind in _NEW:
        # The same if it is sent twice: mail servers drop the second.
        mail["Subject"], mail["Message-ID"] = subject, first_id
    else:
        mail["Subject"] = f"Re: {subject}"
        mail["Message-ID"] = make_msgid(domain=domain)
        mail["In-Reply-To"] = mail["References"] = first_id


def _group_id(group: Group) -> str:
    told = f"{group.fingerprint}|{group.first_ms}".encode()
    return hashlib.sha256(told).hexdigest()[:32]


def _plain(notification: Notification) -> str:
    parts = [wording.headline(notification)]
    note = wording.note(notification)
    parts += [note] if note else []
    if notification.kind is Kind.DIGEST:
        shown = notification.entries[:_DIGEST_ENTRIES]
        parts += ["\n".join(_plain_summary(entry) for entry in shown)]
        parts += [_more(notification)] if _more(notification) else []
    else:
        parts += _plain_problem(notification)
    return "\n\n".join(parts) + "\n"


def _plain_problem(notification: Notification) -> list[str]:
    (entry,) = notification.entries
    sample = entry.group.sample
    said = wording.message(sample, _MESSAGE_CHARACTERS)
    facts = [f"{fact.label + ':':<11} {fact.text}" for fact in wording.facts(entry)]
    links = [f"{link.label}: {link.url}" for link in wording.links(entry)]
    quiet = wording.quiet(entry) if notification.kind is Kind.RESOLVED else ""
    parts = [quiet, said, "\n".join(facts), _frames(entry), "\n".join(links)]
    return [part for part in parts if part]


def _plain_summary(entry: Entry) -> str:
    job = [link.url for link in wording.links(entry) if link.label.startswith("Job")]
    return "\n    ".join([wording.summary(entry), *job])


def _html(notification: Notification) -> str:
    parts = [f"<h3>{html.escape(wording.headline(notification))}</h3>"]
    note = wording.note(notification)
    parts += [f"<p><em>{html.escape(note)}</em></p>"] if note else []
    if notification.kind is Kind.DIGEST:
        shown = notification.entries[:_DIGEST_ENTRIES]
        rows = (f"<li>{html.escape(wording.summary(e))} {_html_links(e)}</li>" for e in shown)
        parts += [f"<ul>{''.join(rows)}</ul>", html.escape(_more(notification))]
    else:
        parts += _html_problem(notification)
    return f'<div style="{_STYLE}">{"".join(parts)}</div>'


def _html_problem(notification: Notification) -> list[str]:
    (entry,) = notification.entries
    sample = entry.group.sample
    said = wording.message(sample, _MESSAGE_CHARACTERS)
    rows = "".join(
        f"<tr><td><b>{fact.label}</b>&nbsp;</td><td>{html.escape(fact.text)}</td></tr>"
        for fact in wording.facts(entry)
    )
    frames, parts = _frames(entry), []
    if notification.kind is Kind.RESOLVED:
        parts.append(f"<p>{html.escape(wording.quiet(entry))}</p>")
    if said:
        parts.append(f'<p style="white-space:pre-wrap">{html.escape(said)}</p>')
    parts.append(f"<table>{rows}</table>")
    if frames:
        parts.append(f'<pre style="{_CODE_STYLE}">{html.escape(frames)}</pre>')
    return [*parts, f"<p>{_html_links(entry)}</p>"]


def _html_links(entry: Entry) -> str:
    return " · ".join(
        f'<a href="{html.escape(link.url)}">{html.escape(link.label)}</a>'
        for link in wording.links(entry)
    )


def _frames(entry: Entry) -> str:
    return wording.frames(entry.group.sample)[-_FRAMES_CHARACTERS:]


def _more(notification: Notification) -> str:
    left = len(notification.entries) - _DIGEST_ENTRIES
    return f"… and {left} more: jobresults alerts list" if left > 0 else ""
