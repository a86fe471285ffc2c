"""A Slack: incoming webhooks and the three methods of its API that alerts use, limits included.

`messages` is what people would see.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import pytest

from tests.services.scripted_http import Answer, Request, ScriptedServer

WEBHOOK_PATH = "/services/T00000000/B00000000/canaryWebhookSecret0000"
BOT_TOKEN = "xoxb-000000000000-canaryBotTokenSecret"
_MAX_SECTION_CHARACTERS = 3_000
_MAX_HEADER_CHARACTERS = 150
_MAX_BLOCKS = 50
_MAX_BYTES = 13_000


@dataclass
class Message:
    """A message in a channel as it stands now."""

    channel: str
    ts: str
    text: str
    blocks: list[dict[str, Any]]
    thread_ts: str | None = None
    edits: int = 0
    replies: list[Message] = field(default_factory=list)

    @property
    def shown(self) -> str:
        """All of its text."""
        return "\n".join([self.text, *_texts(self.blocks)])


class SlackServer(ScriptedServer):
    """Its own answers are Slack's; `script` comes before them."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Message] = []
        self.webhook_url = f"http://{self.address}{WEBHOOK_PATH}"
        self.api_url = f"http://{self.address}/api/"

    def respond(self, request: Request) -> Answer:
        body = _body_of(request)
        if request.path == WEBHOOK_PATH:
            refused = refusal(body)
            if refused:
                return Answer(400, refused.encode())
            self._add(body, "webhook")
            return Answer(200, b"ok")
        if not request.path.startswith("/api/"):
            return Answer(404, b"no_team")
        if request.headers.get("Authorization") != f"Bearer {BOT_TOKEN}":
            return _api(ok=False, error="invalid_auth")
        refused = refusal(body)
        if refused:
            return _api(ok=False, error=refused)
        return self._call(request.path.removeprefix("/api/"), body)

    def _call(self, method: str, body: dict[str, Any]) -> Answer:
        if method == "chat.postMessage":
            message = self._add(body, str(body["channel"]))
            return _api(ok=True, channel=message.channel, ts=message.ts)
        if method == "chat.update":
            for message in self.messages:
                if (message.channel, message.ts) == (body["channel"], body["ts"]):
                    message.text, message.blocks = body["text"], _blocks(body)
                    message.edits += 1
                    return _api(ok=True, channel=message.channel, ts=message.ts)
            return _api(ok=False, error="message_not_found")
        return _api(ok=False, error="unknown_method")

    def _add(self, body: dict[str, Any], channel: str) -> Message:
        ts = f"1700000000.{len(self.requests):06}"
        # As Slack does, which answers names with ids.
        channel = channel if channel.startswith(("C", "webhook")) else f"C0{channel.strip('#')}"
        message = Message(channel, ts, body["text"], _blocks(body), body.get("thread_ts"))
        parents = [item for item in self.messages if item.ts == message.thread_ts]
        (parents[0].replies if parents else self.messages).append(message)
        return message


def refusal(body: dict[str, Any]) -> str | None:
    """The word Slack answers to a message it does not take; None if it does."""
    blocks = _blocks(body)
    texts = _texts(blocks)
    if not body.get("text"):
        return "no_text"
    if len(blocks) > _MAX_BLOCKS or any(len(text) > _MAX_SECTION_CHARACTERS for text in texts):
        return "invalid_blocks"
    headers = [block["text"]["text"] for block in blocks if block["type"] == "header"]
    if any(len(text) > _MAX_HEADER_CHARACTERS for text in headers) or not all(texts):
        return "invalid_blocks"
    if len(json.dumps(blocks, ensure_ascii=False)) > _MAX_BYTES:
        return "msg_blocks_too_long"
    return None


def _body_of(request: Request) -> dict[str, Any]:
    if "json" in request.headers.get("Content-Type", ""):
        return dict(json.loads(request.body))
    return dict(parse_qsl(request.body.decode()))


def _blocks(body: dict[str, Any]) -> list[dict[str, Any]]:
    blocks = body.get("blocks") or []
    return list(json.loads(blocks) if isinstance(blocks, str) else blocks)


def _texts(node: Any) -> list[str]:
    """Each `text` that is a string, wherever it stands."""
    if isinstance(node, list):
        return [text for item in node for text in _texts(item)]
    if not isinstance(node, dict):
        return []
    own = [node["text"]] if isinstance(node.get("text"), str) else []
    return own + [text for value in node.values() for text in _texts(value)]


def _api(**members: Any) -> Answer:
    return Answer(200, json.dumps(members).encode(), {"Content-Type": "application/json"})


@pytest.fixture
def slack_server() -> Iterator[SlackServer]:
    with SlackServer() as server:
        yield server
