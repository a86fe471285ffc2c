"""People's accounts in the ledger."""

from __future__ import annotations

import pytest

from jobresults.accounts import people
from jobresults.accounts.people import Change, Person
from jobresults.accounts.principal import Role
from jobresults.database import Database
from jobresults.errors import Conflict, InvalidRequest, NotFound


def make(database: Database, name: str, role: Role = Role.VIEWER) -> Person:
    return people.create(database, name=name, password_hash="hash", role=role)


def generation(database: Database, name: str) -> int:
    found = people.credentials(database, name)
    assert found is not None
    return found.generation


def test_an_account_is_found_by_id_and_by_name_in_any_case(database: Database) -> None:
    ann = make(database, "Ann")
    assert ann.name == "ann"
    assert people.get(database, ann.id) == people.get_by_name(database, "aNN") == ann
    assert people.credentials(database, "bob") is None
    for absent in (lambda: people.get(database, 999), lambda: people.get_by_name(database, "bob")):
        with pytest.raises(NotFound, match="user not found"):
            absent()


def test_a_name_is_had_once(database: Database) -> None:
    make(database, "ann")
    bob = make(database, "bob")
    with pytest.raises(Conflict, match="a user of this name"):
        make(database, "ANN")
    with pytest.raises(Conflict, match="a user of this name"):
        people.change(database, bob.id, Change(name="Ann"))
    assert people.change(database, bob.id, Change(name="BOB")).name == "bob"


def test_an_improper_name_is_refused(database: Database) -> None:
    for name in ("", "a b", "a\n", "-a", "x" * 65, "ä", "a\x00", "user:a"):
        with pytest.raises(InvalidRequest, match="name: 1 to 64 letters"):
            make(database, name)


def test_all_but_a_new_name_ends_the_logins_there_are(database: Database) -> None:
    ann = make(database, "ann")
    changes = [
        (Change(name="anna"), 0),
        (Change(), 0),
        (Change(password_hash="other"), 1),
        (Change(role=Role.OPERATOR), 2),
        (Change(disabled=True), 3),
        (Change(disabled=False), 4),
    ]
    for change, expected in changes:
        people.change(database, ann.id, change)
        assert generation(database, "anna") == expected
    changed = people.credentials(database, "anna")
    assert changed is not None
    assert (changed.person.role, changed.password_hash) == (Role.OPERATOR, "other")
    assert changed.person.disabled_at_ms is None


def test_the_last_active_admin_stays(database: Database) -> None:
    first, second = make(database, "first", Role.ADMIN), make(database, "second", Role.ADMIN)
    people.change(database, second.id, Change(disabled=True))
    for change in (Change(role=Role.VIEWER), Change(disabled=True)):
        with pytest.raises(Conflict, match="last active admin"):
            people.change(database, first.id, change)
    with pytest.raises(Conflict, match="last active admin"):
        people.remove(database, first.id)
    people.change(database, second.id, Change(disabled=False))
    people.remove(database, first.id)
    with pytest.raises(NotFound):
        people.remove(database, first.id)


def test_the_id_of_a_deleted_account_is_not_given_again(database: Database) -> None:
    make(database, "first", Role.ADMIN)
    ann = make(database, "ann")
    people.remove(database, ann.id)
    assert make(database, "ann").id > ann.id


def test_pages_show_everyone_once(database: Database) -> None:
    made = [make(database, f"p{number}") for number in range(5)]
    seen, after = people.page(database, after_id=0, limit=3)
    assert after == made[2].id
    rest, after = people.page(database, after_id=after, limit=3)
    assert (seen + rest, after) == (made, None)
