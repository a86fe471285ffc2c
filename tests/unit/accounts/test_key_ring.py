"""Who presents a key or a token: from memory, from the ledger, and while that is away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import select, update

from jobresults.accounts import api_keys, people
from jobresults.accounts.grant import Grant
from jobresults.accounts.key_ring import KeyRing
from jobresults.accounts.login_limits import LoginLimits
from jobresults.accounts.logins import Logins
from jobresults.accounts.model import api_key, person, revoked_token
from jobresults.accounts.passwords import Passwords
from jobresults.accounts.people import Change
from jobresults.accounts.principal import Principal, Role, Scope
from jobresults.accounts.tokens import Tokens
from jobresults.database import Database
from jobresults.errors import LedgerUnavailable, Unauthenticated
from tests.unit.accounts.conftest import accounts

Forward = Callable[[float], None]
TOKENS = Tokens(accounts())


@contextmanager
def ledger_away(ring: KeyRing) -> Iterator[None]:
    database: Any = ring._database
    rows = database.rows

    def away(*_: object) -> None:
        raise LedgerUnavailable("away")

    database.rows = away
    yield
    database.rows = rows


def refused(ring: KeyRing, token: str) -> bool:
    try:
        ring.authenticate(token)
    except Unauthenticated:
        return True
    return False


def disable_by_hand(database: Database, person_id: int, _token: str) -> None:
    with database.write() as connection:
        row = update(person).where(person.c.id == person_id)
        connection.execute(row.values(disabled_at_ms=1))


def log_in(database: Database, name: str = "ann", role: Role = Role.OPERATOR) -> tuple[int, str]:
    made = people.create(database, name=name, password_hash="hash", role=role)
    return made.id, TOKENS.issue(made.id, 0).text


def logins(database: Database) -> Logins:
    limits: Any = LoginLimits  # nobody is counted here
    return Logins(database, Passwords(), TOKENS, limits, accounts())


def test_a_token_tells_who_presents_it_without_a_query_for_each(database: Database) -> None:
    person_id, token = log_in(database)
    ring = KeyRing(database, TOKENS)
    assert ring.remembered(token) is None
    principal = ring.authenticate(token)
    assert principal.client == "user:ann"
    assert (principal.person_id, principal.scopes) == (person_id, Role.OPERATOR.scopes)
    assert principal.owner is None
    with ledger_away(ring):
        assert ring.authenticate(token) == ring.remembered(token) == principal


def test_a_viewer_sees_all_and_is_no_operator(database: Database) -> None:
    _, token = log_in(database, role=Role.VIEWER)
    principal = KeyRing(database, TOKENS).authenticate(token)
    assert (principal.is_operator, principal.owner) == (False, None)
    assert principal.scopes == {Scope.READ}


def test_without_keys_to_sign_with_no_token_is_good(database: Database) -> None:
    _, token = log_in(database)
    assert refused(KeyRing(database), token)


@pytest.mark.parametrize(
    "revoke",
    [
        lambda db, id_, token: people.change(db, id_, Change(password_hash="other")),
        lambda db, id_, token: people.change(db, id_, Change(role=Role.ADMIN)),
        lambda db, id_, token: people.change(db, id_, Change(disabled=True)),
        disable_by_hand,
        lambda db, id_, token: people.remove(db, id_),
        lambda db, id_, token: logins(db).log_out(TOKENS.read(token).token_id),
    ],
    ids=["new password", "new role", "disabled", "disabled by hand", "deleted", "logged out"],
)
def test_a_revoked_token_is_refused_within_five_seconds(
    database: Database, pass_seconds: Forward, revoke: Callable[[Database, int, str], object]
) -> None:
    person_id, token = log_in(database)
    _, others = log_in(database, "bob")
    ring = KeyRing(database, TOKENS)
    ring.authenticate(token)
    revoke(database, person_id, token)
    pass_seconds(5)
    assert refused(ring, token)
    assert not refused(ring, others)


def test_logging_out_twice_is_harmless_and_spent_entries_go(database: Database) -> None:
    door = logins(database)
    door.log_out("a" * 32)
    door.log_out("a" * 32)
    with database.write() as connection:
        connection.execute(update(revoked_token).values(expires_at_ms=1))
    door.log_out("b" * 32)
    assert [row.id for row in database.rows(select(revoked_token.c.id))] == ["b" * 32]


def test_a_limited_key_tells_its_limits(database: Database) -> None:
    grant = Grant("shop", ("read",), ("b", "a", "a"), 2.5, 3_600)
    token, issued = api_keys.issue_key(database, grant)
    principal = KeyRing(database).authenticate(token)
    assert principal == Principal("shop", frozenset({Scope.READ}), 2.5, frozenset("ab"))
    assert issued.customers == ("a", "b")
    assert token.startswith(issued.prefix)


def test_an_expired_key_is_refused_with_and_without_the_ledger(
    database: Database, pass_seconds: Forward
) -> None:
    token, _ = api_keys.issue_key(database, Grant("shop", lifetime_seconds=100))
    ring = KeyRing(database)
    ring.authenticate(token)
    pass_seconds(60)
    with ledger_away(ring):
        assert ring.authenticate(token).client == "shop", "nobody can have revoked it"
        pass_seconds(41)
        assert ring.remembered(token) is None
        with pytest.raises(LedgerUnavailable):
            ring.authenticate(token)
    with database.write() as connection:  # whose clock was not set forward
        connection.execute(update(api_key).values(expires_at_ms=database.now_ms()))
    assert refused(ring, token)


def test_the_use_of_keys_is_noted_by_the_minute(database: Database) -> None:
    used, unused = [api_keys.issue_key(database, Grant("shop")) for _ in range(2)]
    ring = KeyRing(database)
    for _ in range(3):
        ring.authenticate(used[0])
    ring.note_use()
    ring.note_use()
    noted = {key.id: key.last_used_at_ms for key in api_keys.all_keys(database)}
    first = noted[used[1].id]
    assert first is not None
    assert noted[unused[1].id] is None
    KeyRing(database).authenticate(used[0])
    ring.forget_all()
    ring.authenticate(used[0])
    assert not ring._used, "it is known to the minute already"
    with database.write() as connection:
        connection.execute(update(api_key).values(last_used_at_ms=first - 61_000))
    ring.forget_all()
    ring.authenticate(used[0])
    ring.note_use()
    assert (api_keys.all_keys(database)[0].last_used_at_ms or 0) > first - 61_000


def test_a_rotated_key_is_good_for_a_while(database: Database, pass_seconds: Forward) -> None:
    grant = Grant("shop", ("read",), ("a",), 2.5, 1_000)
    old, issued = api_keys.issue_key(database, grant)
    new, follower = api_keys.rotate(database, issued.prefix, overlap_seconds=100)
    ring = KeyRing(database)
    assert ring.authenticate(old) == ring.authenticate(new)
    assert follower.expires_at_ms == follower.created_at_ms + 1_000_000
    (first, _) = api_keys.all_keys(database, client="shop")
    assert first.expires_at_ms == follower.created_at_ms + 100_000
    api_keys.rotate(database, issued.id, overlap_seconds=5_000)
    assert api_keys.all_keys(database)[0].expires_at_ms == first.expires_at_ms, "never later"
