"""Hiding secrets in whatever text leaves the process: log lines, alerts, error reports."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from pydantic import BaseModel, SecretStr

HIDDEN = "[hidden]"
# Shorter ones would be found in ordinary words.
_MIN_SECRET_CHARACTERS = 6

_VALUE = r"(?:b?'[^']*'|b?\"[^\"]*\"|[^\s'\",;&)}\]]+)"
# What a text must hold, in lower case, for the pattern to be worth trying; most lines hold nothing.
_PATTERNS = tuple(
    (hints, re.compile(pattern, re.IGNORECASE), replacement)
    for hints, pattern, replacement in (
        # Credentials in a URL.
        (("@",), r"(://)[^\s/@'\"<>]*@", rf"\1{HIDDEN}@"),
        # Incoming webhooks: whoever has the address may write.
        (
            ("/services/", "/webhook"),
            r"(://[^\s'\"<>]*?/(?:services|webhooks?)/)[^\s'\"<>]+",
            rf"\1{HIDDEN}",
        ),
        # Header lines and their spelling in dicts, to the end of the value.
        (
            ("authorization", "cookie", "x-api-key"),
            r"(authorization|cookie|x-api-key)(['\"]?\s*[:=](?!\s*\[hidden\])\s*)"
            r"(?:'[^']*'|\"[^\"]*\"|[^\r\n'\"}]+)",
            rf"\1\2{HIDDEN}",
        ),
        (("bearer ", "basic "), r"\b(bearer|basic)\s+[\w.~+/=-]{8,}", rf"\1 {HIDDEN}"),
        # Our own keys, Slack's tokens, JSON Web Tokens.
        (("jr_",), r"\bjr_[\w-]{6,}", f"jr_{HIDDEN}"),
        (("xox",), r"\bxox[a-z]-[\w-]{6,}", f"xox-{HIDDEN}"),
        (("eyj",), r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*", HIDDEN),
        # password=…, "token": "…", secret='…', ?api_key=….
        (
            ("passw", "passphrase", "pwd", "secret", "token", "key", "signature"),
            r"(passw(?:or)?d|passphrase|pwd|secret|token|(?:api|private|signing)[_-]?key|signature)"
            rf"(['\"]?\s*(?:=>|[:=])\s*)(?!\[hidden\]|none\b|null\b){_VALUE}",
            rf"\1\2{HIDDEN}",
        ),
    )
)


class Redactor:
    """Hides what looks like a secret, and the secrets it was given, wherever they stand."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = {secret for secret in secrets if len(secret) >= _MIN_SECRET_CHARACTERS}
        # The longest first: one may be a part of another.
        self._known = sorted(known, key=len, reverse=True)

    def hide(self, text: str) -> str:
        """The text without secrets; takes microseconds."""
        for secret in self._known:
            if secret in text:
                text = text.replace(secret, HIDDEN)
        lowered = text.lower()
        for hints, pattern, replacement in _PATTERNS:
            for hint in hints:
                if hint in lowered:
                    text = pattern.sub(replacement, text)
                    break
        return text


_redactor = Redactor()


def hide(text: str) -> str:
    """The text without secrets, those of this process's settings included."""
    return _redactor.hide(text)


def keep_secret(settings: BaseModel) -> None:
    """From now on this process hides every secret of these settings, too."""
    global _redactor
    _redactor = Redactor(_secrets_of(settings))


def holds_secrets(settings: BaseModel) -> bool:
    """Whether there is anything in these settings that is to be hidden."""
    return any(True for _ in _secrets_of(settings))


def _secrets_of(value: object) -> Iterator[str]:
    """What to hide of each SecretStr below: itself; of a URL what is secret in it."""
    if isinstance(value, SecretStr):
        yield from _parts(value.get_secret_value())
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secrets_of(getattr(value, name))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _secrets_of(item)


_URL = re.compile(r"[\w+.-]+://(?:(?P<user>[^\s/@]*)@)?[^\s/?#]*(?P<rest>[^\s]*)")


def _parts(secret: str) -> Iterator[str]:
    """A host's name, a database's or a socket's path alone are no secret, and needed in errors."""
    url = _URL.fullmatch(secret)
    if url is None:
        yield secret
        return
    password = (url["user"] or "").partition(":")[2] or None
    if password:
        yield password
    if secret.startswith("http") and len(url["rest"]) > 1:
        yield secret
