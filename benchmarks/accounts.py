"""What it costs a request to tell who calls."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from pydantic import SecretStr

from benchmarks.machine import Machine
from benchmarks.service import sqlite_url
from jobresults.accounts import people
from jobresults.accounts.api_keys import issue_key
from jobresults.accounts.grant import Grant
from jobresults.accounts.key_ring import KeyRing
from jobresults.accounts.principal import Role
from jobresults.accounts.tokens import Tokens
from jobresults.database import open_database
from jobresults.schema import migrate
from jobresults.settings import AccountsSettings, DatabaseSettings
from jobresults.web.authentication import bearer_token
from jobresults.web.services import visible_to

_ROUNDS = 7


def measure(machine: Machine) -> dict[str, Any]:
    """Microseconds of each way, by round."""
    settings = DatabaseSettings(url=SecretStr(sqlite_url(machine, "accounts")))
    migrate(settings)
    keys = [{"id": "a", "secret": secrets.token_hex(32)}]
    tokens = Tokens(AccountsSettings.model_validate({"token_keys": keys}))
    with contextlib.closing(open_database(settings)) as database:
        person = people.create(database, name="ann", password_hash="", role=Role.VIEWER)
        token = tokens.issue(person.id, 0).text
        key, _ = issue_key(database, Grant("me", ("read",), ("a", "b")))
        ring = KeyRing(database, tokens)
        ring.authenticate(key)
        ring.authenticate(token)

        def asked_again(credentials: str) -> None:
            ring.forget_all()
            ring.authenticate(credentials)

        ways: dict[str, tuple[int, Callable[[], object]]] = {
            "an API key, remembered": (20_000, lambda: _from_header(ring, f"Bearer {key}")),
            "a person's token, remembered": (20_000, lambda: _from_header(ring, f"Bearer {token}")),
            "an API key, asked of the ledger each 5 s": (500, lambda: asked_again(key)),
            "a person's token, the same": (500, lambda: asked_again(token)),
            "a token's signature alone": (2_000, lambda: tokens.read(token)),
        }
        figures = {
            name: [_microseconds(once, machine.pick(count, count // 10)) for _ in range(_ROUNDS)]
            for name, (count, once) in ways.items()
        }
    for name, values in figures.items():
        print(f"  {name}: {median(values):.1f} µs", flush=True)
    return {"microseconds": figures}


def _from_header(ring: KeyRing, header: str) -> object:
    """What the fast lane does before it looks for the job."""
    principal = ring.remembered(bearer_token(header))
    assert principal is not None
    return visible_to(principal)


def _microseconds(once: Callable[[], object], count: int) -> float:
    """Of processor time, so that what else runs here counts little."""
    start = time.thread_time()
    for _ in range(count):
        once()
    return (time.thread_time() - start) / count * 1e6
