"""API keys: who gets one, and who presents one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pydantic import SecretStr
from sqlalchemy import select, update

from jobresults.accounts import api_keys, key_ring
from jobresults.accounts.key_ring import KeyRing
from jobresults.accounts.model import api_key
from jobresults.accounts.principal import Principal, Scope
from jobresults.database import Database, open_database
from jobresults.errors import InvalidRequest, LedgerUnavailable, Unauthenticated
from jobresults.settings import DatabaseSettings

STRANGE_TOKENS = [
    "",
    "jr_",
    "jr_000000000000_" + "x" * 43,
    "\x00",
    "jr_\x00_\x00",
    "jr_00000000000\x00_" + "x" * 43,
    "\udcff",
    "x" * 100_000,
    "' OR 1=1 --",
]


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = open_database(DatabaseSettings(url=SecretStr(database_url)))
    yield opened
    opened.close()


def test_an_issued_key_tells_who_presents_it(database: Database) -> None:
    token = api_keys.issue(database, client="shop", scopes=["submit", "read"])
    principal = KeyRing(database).authenticate(token)
    assert principal == Principal("shop", frozenset({Scope.SUBMIT, Scope.READ}))
    assert not principal.is_operator


def test_a_key_has_all_scopes_unless_told_otherwise(database: Database) -> None:
    principal = KeyRing(database).authenticate(api_keys.issue(database, client="me"))
    assert principal.scopes == frozenset(Scope)
    assert principal.is_operator


def test_keys_of_one_client_differ(database: Database) -> None:
    assert len({api_keys.issue(database, client="shop") for _ in range(10)}) == 10


def test_the_ledger_keeps_no_key(database: Database) -> None:
    token = api_keys.issue(database, client="shop")
    with database.read() as connection:
        stored = connection.execute(select(api_key)).all()
    secret = token.split("_", 2)[2]
    assert secret not in repr(stored)


@pytest.mark.parametrize("token", STRANGE_TOKENS, ids=ascii)
def test_a_strange_key_is_unknown(database: Database, token: str) -> None:
    with pytest.raises(Unauthenticated):
        KeyRing(database).authenticate(token)


def test_a_key_with_a_wrong_secret_is_unknown(database: Database) -> None:
    token = api_keys.issue(database, client="shop")
    wrong = token[:-1] + ("x" if token[-1] != "x" else "y")
    with pytest.raises(Unauthenticated):
        KeyRing(database).authenticate(wrong)


@pytest.mark.parametrize("client", ["", "x" * 101, "a\nb", "a\x00b"])
def test_a_client_must_have_a_proper_name(database: Database, client: str) -> None:
    with pytest.raises(InvalidRequest, match="1 to 100 printable characters"):
        api_keys.issue(database, client=client)


def test_an_unknown_scope_is_refused_with_the_valid_ones(database: Database) -> None:
    with pytest.raises(InvalidRequest, match="scope: fly; valid: submit, read, cancel, operate"):
        api_keys.issue(database, client="shop", scopes=["read", "fly"])


def test_a_key_without_scopes_is_refused(database: Database) -> None:
    with pytest.raises(InvalidRequest, match="scope: none; valid"):
        api_keys.issue(database, client="shop", scopes=[])


def test_a_revoked_key_is_refused_once_its_verdict_is_forgotten(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = api_keys.issue(database, client="shop")
    monkeypatch.setattr(key_ring, "_CACHE_SECONDS", 3_600)
    remembering = KeyRing(database)
    remembering.authenticate(token)
    monkeypatch.setattr(key_ring, "_CACHE_SECONDS", -1)
    forgetting = KeyRing(database)
    forgetting.authenticate(token)
    with database.write() as connection:
        connection.execute(update(api_key).values(revoked_at_ms=database.now_ms()))
    assert remembering.authenticate(token).client == "shop"
    with pytest.raises(Unauthenticated):
        forgetting.authenticate(token)


def test_remembered_verdicts_are_bounded(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_ring, "_CACHE_ENTRIES", 3)
    ring = KeyRing(database)
    for number in range(10):
        with pytest.raises(Unauthenticated):
            ring.authenticate(f"key {number}")
    assert len(ring._known) <= 3


def test_a_key_cannot_be_judged_while_the_ledger_is_away() -> None:
    url = SecretStr("postgresql://nobody@127.0.0.1:1/none")
    away = open_database(DatabaseSettings(url=url))
    with pytest.raises(LedgerUnavailable):
        KeyRing(away).authenticate("jr_000000000000_" + "x" * 43)
