"""Whether what a program printed is what a document shows.

A document shows one run. What differs from run to run may differ here, but only by its kind: where
an id stands in the document, an id must have come. What stood for the same text before must stand
for it again, so an id in a `Location` must be the one in the body. `…` stands for anything: a part
of a text, a value, further members, further elements, further headers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
# By their kinds; the first that fits counts.
_KINDS = {
    "uuid": _UUID,
    "time": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z",
    "minute": r"\d{4}-\d\d-\d\d \d\d:\d\d UTC",
    "key": r"jr_[0-9a-f]{12}_[\w-]{43}",
    "prefix": r"jr_[0-9a-f]{12}",
    "secret": r"whsec_[A-Za-z0-9+/=]+",
    "token": r"eyJ[\w-]+\.[\w-]+\.[\w-]+",
    "trace": r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]",
    "sha256": r"\b[0-9a-f]{64}\b",
    "hex32": r"\b[0-9a-f]{32}\b",
    "hex16": r"\b[0-9a-f]{16}\b",
    "hex12": r"\b[0-9a-f]{12}\b",
    "code": r"\b\d{6}\b",
}
# Every run has its own.
_UNBOUND = {"time", "minute"}
_VARIABLE = "|".join(f"(?P<{kind}>{text})" for kind, text in _KINDS.items())
_ANY = "…"


class Mismatch(AssertionError):
    """Something else came than the document shows."""


class Reader:
    """Compares what is shown with what came, and learns what stands for what; some is `given`."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self.stands_for = dict(given)
        self._variable = re.compile("|".join([*map(re.escape, given), _VARIABLE]))

    def filled(self, text: str) -> str:
        """The text with what came in the place of what stands for it."""
        for shown in sorted(self.stands_for, key=len, reverse=True):
            text = text.replace(shown, self.stands_for[shown])
        return text

    def compare(self, shown: str, came: str) -> None:
        """The whole output of a command. Of one that shows nothing anything may come.

        Raises:
            Mismatch
        """
        if shown.startswith("HTTP/"):
            self._compare_answer(shown, came)
        elif shown:
            self._compare_body(shown, came)

    def _compare_answer(self, shown: str, came: str) -> None:
        wanted_head, _, wanted_body = shown.partition("\n\n")
        head, body = _last_answer(came)
        wanted_status, *wanted_headers = wanted_head.splitlines()
        status, *headers = head.splitlines()
        self._compare_text(wanted_status, status)
        found = {name.lower(): text for name, text in map(_header, headers)}
        for line in wanted_headers:
            if line != _ANY:
                name, text = _header(line)
                if name.lower() not in found:
                    raise Mismatch(f"no header {name} in:\n{head}")
                self._compare_text(text, found[name.lower()])
        if wanted_body:
            self._compare_body(wanted_body, body)
        elif body:
            raise Mismatch(f"a body came: {body}")

    def _compare_body(self, shown: str, came: str) -> None:
        try:
            document = json.loads(_with_quoted_ellipses(shown))
        except ValueError:
            self._compare_text(" ".join(shown.split()), " ".join(came.split()))
            return
        try:
            actual = json.loads(came)
        except ValueError:
            raise Mismatch(f"not JSON: {came}") from None
        self._compare_json(document, actual, "body")

    def _compare_json(self, shown: Any, came: Any, path: str) -> None:
        if shown == _ANY:
            return
        if isinstance(shown, dict) and isinstance(came, dict):
            self._compare_objects(shown, came, path)
        elif isinstance(shown, list) and isinstance(came, list):
            self._compare_arrays(shown, came, path)
        elif isinstance(shown, str) and isinstance(came, str):
            self._compare_text(shown, came, path)
        elif isinstance(shown, float) and isinstance(came, float):
            return  # what is measured
        elif type(shown) is not type(came) or shown != came:
            raise Mismatch(f"{path}: {json.dumps(shown)} is shown, {json.dumps(came)} came")

    def _compare_objects(self, shown: dict[str, Any], came: dict[str, Any], path: str) -> None:
        wanted = shown.keys() - {_ANY}
        missing, more = wanted - came.keys(), came.keys() - wanted
        if missing or (more and _ANY not in shown):
            raise Mismatch(
                f"{path}: {sorted(missing)} did not come; {sorted(more)} are not shown: "
                f"{json.dumps(came, ensure_ascii=False)}"
            )
        for name in shown:
            if name != _ANY:
                self._compare_json(shown[name], came[name], f"{path}.{name}")

    def _compare_arrays(self, shown: list[Any], came: list[Any], path: str) -> None:
        open_ended = bool(shown) and shown[-1] == _ANY
        wanted = shown[:-1] if open_ended else shown
        if len(came) < len(wanted) or (len(came) > len(wanted) and not open_ended):
            text = json.dumps(came, ensure_ascii=False)
            raise Mismatch(f"{path}: {len(wanted)} elements are shown, {len(came)} came: {text}")
        for place, (one, other) in enumerate(zip(wanted, came, strict=False)):
            self._compare_json(one, other, f"{path}[{place}]")

    def _compare_text(self, shown: str, came: str, path: str = "text") -> None:
        pattern, tokens = self._pattern(shown)
        found = re.fullmatch(pattern, came, re.DOTALL)
        if found is None:
            raise Mismatch(f"{path}: shown: {self.filled(shown)}\ncame: {came}")
        for token, group in tokens.items():
            self.stands_for[token] = found[group]

    def _pattern(self, shown: str) -> tuple[str, dict[str, str]]:
        """What must have come, and which group is what a token not seen before stands for."""
        parts, at, tokens = [], 0, dict[str, str]()
        for found in self._variable.finditer(shown):
            parts.append(_literal(shown[at : found.start()]))
            at, token, kind = found.end(), found[0], str(found.lastgroup)
            if kind in _UNBOUND:
                parts.append(f"(?:{_KINDS[kind]})")
            elif token in self.stands_for:
                parts.append(re.escape(self.stands_for[token]))
            elif token in tokens:
                parts.append(f"(?P={tokens[token]})")
            else:
                tokens[token] = f"t{len(tokens)}"
                parts.append(f"(?P<{tokens[token]}>{_KINDS[kind]})")
        return "".join((*parts, _literal(shown[at:]))), tokens


def _literal(text: str) -> str:
    return ".*?".join(map(re.escape, text.split(_ANY)))


def _header(line: str) -> tuple[str, str]:
    name, colon, text = line.partition(":")
    assert colon, f"not a header: {line}"
    return name, text.strip()


def _last_answer(output: str) -> tuple[str, str]:
    """Head and body, without the `100 Continue` before them."""
    text = output.replace("\r\n", "\n")
    head, _, body = text.partition("\n\n")
    while re.match(r"HTTP/\S+ 1\d\d\b", head):
        head, _, body = body.partition("\n\n")
    if not head.startswith("HTTP/"):
        raise Mismatch(f"no answer: {output}")
    return head, body.strip("\n")


def _with_quoted_ellipses(text: str) -> str:
    """JSON of what is nearly JSON: `…` as a value becomes a text, as a member a member."""
    parts: list[str] = []
    inside: list[str] = []
    before = ""
    for token in re.findall(r'"(?:[^"\\]|\\.)*"|[^"]', text):
        if token == _ANY:
            is_member = inside[-1:] == ["{"] and before in "{,"
            parts.append(f'"{_ANY}": 0' if is_member else f'"{_ANY}"')
        else:
            parts.append(token)
        if token in "{[":
            inside.append(token)
        elif token in "}]" and inside:
            inside.pop()
        if token.strip():
            before = token
    return "".join(parts)
