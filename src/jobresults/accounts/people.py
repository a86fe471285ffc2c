"""People's accounts: making, reading, changing and deleting them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from jobresults.accounts.model import person
from jobresults.accounts.principal import Role
from jobresults.database import Database
from jobresults.errors import Conflict, InvalidRequest, NotFound

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$"
MIN_PASSWORD_CHARACTERS = 8
MAX_PASSWORD_CHARACTERS = 256

_PUBLIC = (
    person.c.id,
    person.c.name,
    person.c.role,
    person.c.created_at_ms,
    person.c.disabled_at_ms,
)


@dataclass(frozen=True)
class Person:
    """An account without what only a login needs. Times in milliseconds since 1970 UTC."""

    id: int
    name: str
    role: Role
    created_at_ms: int
    disabled_at_ms: int | None


@dataclass(frozen=True)
class Credentials:
    """What a login is held against."""

    person: Person
    password_hash: str
    generation: int


@dataclass(frozen=True)
class Change:
    """What is to be changed; None stays as it is."""

    name: str | None = None
    password_hash: str | None = None
    role: Role | None = None
    disabled: bool | None = None


def check_password(password: str) -> None:
    """Raises InvalidRequest if nobody may have this password."""
    if not MIN_PASSWORD_CHARACTERS <= len(password) <= MAX_PASSWORD_CHARACTERS:
        message = f"{MIN_PASSWORD_CHARACTERS} to {MAX_PASSWORD_CHARACTERS} characters"
        raise InvalidRequest(f"password: {message}", [{"path": "password", "message": message}])


def create(database: Database, *, name: str, password_hash: str, role: Role) -> Person:
    """A new account. Names are unique, whatever their case.

    Raises:
        InvalidRequest: nobody can be called so.
        Conflict: somebody is called so.
        LedgerUnavailable: nothing was made.
    """
    values = {
        "name": _name(name),
        "password_hash": password_hash,
        "role": role.value,
        "created_at_ms": database.now_ms(),
    }
    with _unique_name(), database.write() as connection:
        connection.execute(insert(person).values(**values))
        found = connection.execute(select(*_PUBLIC).where(person.c.name == values["name"])).one()
    return _person(found)


def get(database: Database, person_id: int) -> Person:
    """Raises NotFound, LedgerUnavailable."""
    rows = database.rows(select(*_PUBLIC).where(person.c.id == person_id))
    if not rows:
        raise _absent()
    return _person(rows[0])


def get_by_name(database: Database, name: str) -> Person:
    """Raises NotFound, LedgerUnavailable."""
    found = credentials(database, name)
    if found is None:
        raise _absent()
    return found.person


def page(database: Database, *, after_id: int, limit: int) -> tuple[list[Person], int | None]:
    """Accounts in the order they were made, and the id to go on after; None on the last page.

    Raises:
        LedgerUnavailable
    """
    query = select(*_PUBLIC).where(person.c.id > after_id).order_by(person.c.id).limit(limit + 1)
    rows = database.rows(query)
    people = [_person(row) for row in rows[:limit]]
    return people, people[-1].id if len(rows) > limit else None


def credentials(database: Database, name: str) -> Credentials | None:
    """What a login as this person is held against; None if nobody is called so.

    Raises:
        LedgerUnavailable
    """
    query = select(*_PUBLIC, person.c.password_hash, person.c.token_generation)
    rows = database.rows(query.where(person.c.name == name.lower()))
    if not rows:
        return None
    return Credentials(_person(rows[0]), rows[0].password_hash, rows[0].token_generation)


def change(database: Database, person_id: int, wanted: Change) -> Person:
    """Change an account. A new password or role, and disabling, revoke all its tokens within 5 s.

    Raises:
        NotFound
        InvalidRequest: nobody can be called so.
        Conflict: somebody else is called so, or no active admin would be left.
        LedgerUnavailable: nothing changed.
    """
    values = _values(database, wanted)
    demoted = wanted.role not in (None, Role.ADMIN) or bool(wanted.disabled)
    with _unique_name(), database.write() as connection:
        if demoted:
            _keep_an_admin(connection, person_id)
        if values:
            connection.execute(update(person).where(person.c.id == person_id).values(**values))
        row = connection.execute(select(*_PUBLIC).where(person.c.id == person_id)).first()
    if row is None:
        raise _absent()
    return _person(row)


def remove(database: Database, person_id: int) -> None:
    """Delete an account; its tokens are revoked within 5 s, its jobs stay.

    Raises:
        NotFound
        Conflict: no active admin would be left.
        LedgerUnavailable: nothing changed.
    """
    with database.write() as connection:
        _keep_an_admin(connection, person_id)
        if not connection.execute(delete(person).where(person.c.id == person_id)).rowcount:
            raise _absent()


def _values(database: Database, wanted: Change) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if wanted.name is not None:
        values["name"] = _name(wanted.name)
    if wanted.password_hash is not None:
        values["password_hash"] = wanted.password_hash
    if wanted.role is not None:
        values["role"] = wanted.role.value
    if wanted.disabled is not None:
        values["disabled_at_ms"] = database.now_ms() if wanted.disabled else None
    if set(values) - {"name"}:
        values["token_generation"] = person.c.token_generation + 1
    return values


def _keep_an_admin(connection: Connection, person_id: int) -> None:
    """Raises Conflict if this is the last admin who can log in."""
    admins = connection.execute(
        select(person.c.id)
        .where(person.c.role == Role.ADMIN.value, person.c.disabled_at_ms.is_(None))
        .order_by(person.c.id)
        .with_for_update()  # so that two admins cannot remove each other
    )
    if admins.scalars().all() == [person_id]:
        raise Conflict("this is the last active admin; make another one first")


def _name(name: str) -> str:
    if not re.fullmatch(NAME_PATTERN, name):
        message = "1 to 64 letters, digits and ._@+- with a letter or digit first"
        raise InvalidRequest(f"name: {message}", [{"path": "name", "message": message}])
    return name.lower()


@contextmanager
def _unique_name() -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        raise Conflict("there is a user of this name already; choose another name") from error


def _absent() -> NotFound:
    return NotFound("user not found")


def _person(row: Any) -> Person:
    return Person(row.id, row.name, Role(row.role), row.created_at_ms, row.disabled_at_ms)
