"""No secret in any line that is logged."""

from __future__ import annotations

import json
import time

import pytest

from jobresults.settings import Settings
from jobresults.telemetry.log_formats import JsonFormatter, TextFormatter
from jobresults.telemetry.redaction import Redactor, hide, keep_secret
from tests.unit.telemetry.conftest import MakeRecord

LEAKS = [
    "connecting to postgresql://me:canary@db:5432/ledger",
    "redis://:canary@cache/0 is away",
    "POST https://hooks.slack.com/services/T0/B0/canary",
    "POST https://chat.example.com/webhook/canary?x=canary",
    "Authorization: Bearer canary-canary",
    "{'Authorization': 'Basic canary', 'Accept': '*/*'}",
    "Cookie: session=canary; theme=canary",
    "X-API-Key: canary",
    "got Bearer canary.canary.canary here",
    "key jr_canary0123456789 was revoked",
    "token xoxb-123-canary",
    "eyJhbGciOiJIUzI1NiJ9.canary.canary",
    "login failed: password=canary user=me",
    '{"db_password": "canary", "n": 1}',
    "{'client_secret': 'canary with spaces', 'n': 1}",
    "GET /v1/x?api_key=canary&n=1",
    "signing_key: canary",
]
HARMLESS = [
    "job 0199f3c2 (score) failed for good: ValueError: 3 tokens, no secret in it",
    "GET https://example.com/v1/jobs?limit=3 200",
    "the mail to me@example.com was refused",
    "password: None, token=null",
    "hidden already: password=[hidden]",
    "https://example.com/services is up",
]


@pytest.mark.parametrize("text", LEAKS)
def test_what_looks_like_a_secret_is_hidden(text: str) -> None:
    assert "canary" not in hide(text)
    assert "[hidden]" in hide(text)
    assert hide(hide(text)) == hide(text)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_does_not_is_left_as_it_is(text: str) -> None:
    assert hide(text) == text


def test_what_surrounds_a_secret_stays_readable() -> None:
    assert hide("postgresql://me:canary@db/ledger: away") == "postgresql://[hidden]@db/ledger: away"
    assert hide('{"token": "canary", "n": 1}') == '{"token": [hidden], "n": 1}'
    assert hide("?api_key=canary&n=1") == "?api_key=[hidden]&n=1"


def test_the_settings_own_secrets_are_hidden_wherever_they_stand() -> None:
    options = {
        "database": {"url": "postgresql://me:canaryPassword@db/ledger"},
        "redis": {"url": "redis://cache:6379/0"},
        "alerts": {"slack": {"webhook_url": "https://chat.example.com/hooks/canaryHook"}},
        "sentry": {"dsn": "https://canaryKey@sentry.example.com/1"},
    }
    try:
        keep_secret(Settings.model_validate(options))
        said = "canaryPassword, https://chat.example.com/hooks/canaryHook; redis://cache:6379/0"
        assert hide(said) == "[hidden], [hidden]; redis://cache:6379/0"
        assert "canary" not in hide("in https://canaryKey@sentry.example.com/1")
    finally:
        keep_secret(Settings())
    assert "canaryPassword" in hide("canaryPassword")


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()], ids=["text", "json"])
def test_a_line_shows_none_in_message_traceback_or_stack(
    formatter: TextFormatter | JsonFormatter, make_record: MakeRecord
) -> None:
    leak = "redis://:canary@cache/0"
    try:
        raise ValueError(leak)
    except ValueError as error:
        exc_info = (type(error), error, error.__traceback__)
    record = make_record("cannot reach %s", leak, exc_info=exc_info, stack_info=f"in {leak}")
    line = formatter.format(record)
    assert "canary@" not in line
    assert "redis://[hidden]@cache/0" in line
    if isinstance(formatter, JsonFormatter):
        assert json.loads(line)["message"] == "cannot reach redis://[hidden]@cache/0"


def test_an_ordinary_line_takes_microseconds() -> None:
    redactor = Redactor(f"a secret of the settings {number}" for number in range(10))
    line, lines = HARMLESS[0], 10_000
    began = time.process_time()
    for _ in range(lines):
        redactor.hide(line)
    assert (time.process_time() - began) / lines < 50e-6
