"""`jobresults user` and `jobresults api-key`, as an operator types them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from jobresults.accounts import people
from jobresults.accounts.key_ring import KeyRing
from jobresults.accounts.passwords import Passwords
from jobresults.accounts.principal import Role
from jobresults.cli.main import main
from jobresults.database import Database, migrate, open_database
from jobresults.errors import Unauthenticated
from jobresults.settings import DatabaseSettings

PASSWORD = "correct horse"


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path}/ledger.db"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JOBRESULTS_DATABASE__URL", url)
    settings = DatabaseSettings.model_validate({"url": url})
    migrate(settings)
    opened = open_database(settings)
    yield opened
    opened.close()


def run(*arguments: str, typed: str | None = None, exit_code: int = 0) -> Result:
    result = CliRunner().invoke(main, arguments, input=typed)
    assert result.exit_code == exit_code, result.output
    return result


def test_the_first_admin_is_made_and_looked_after_by_commands(ledger: Database) -> None:
    made = run("user", "create", "Ann", "--role", "admin", typed=f"{PASSWORD}\n{PASSWORD}\n")
    assert PASSWORD not in made.output, "it is not echoed"
    found = people.credentials(ledger, "ann")
    assert found is not None
    assert Passwords().is_right(found.password_hash, PASSWORD)
    run("user", "create", "bob", "--password", PASSWORD)
    run("user", "set-role", "bob", "operator")
    run("user", "set-password", "bob", "--password", "another one")
    run("user", "disable", "bob")
    bob = people.credentials(ledger, "bob")
    assert bob is not None
    assert (bob.person.role, bob.generation) == (Role.OPERATOR, 3)
    assert Passwords().is_right(bob.password_hash, "another one")
    lines = run("user", "list", "-o", "table").stdout.splitlines()
    assert [line.split()[1] for line in lines] == ["name", "ann", "bob"]
    assert [line.split()[-1] for line in lines[1:]] == ["no", "yes"]
    run("user", "enable", "bob")
    listed = [json.loads(line) for line in run("user", "list").stdout.splitlines()]
    assert [(it["name"], it["role"], it["disabled"]) for it in listed] == [
        ("ann", "admin", False),
        ("bob", "operator", False),
    ]


def test_what_cannot_be_is_refused_with_a_reason(ledger: Database) -> None:
    run("user", "create", "ann", "--role", "admin", "--password", PASSWORD)
    refusals = {
        ("create", "ann", "--password", PASSWORD): ("a user of this name", 1),
        ("create", "bob", "--password", "short"): ("password: 8 to 256", 1),
        ("create", "b b", "--password", PASSWORD): ("name: 1 to 64", 1),
        ("disable", "bob"): ("user not found", 6),
        ("set-role", "ann", "viewer"): ("last active admin", 1),
    }
    for arguments, (reason, code) in refusals.items():
        assert reason in run("user", *arguments, exit_code=code).stderr


def test_keys_are_listed_rotated_and_revoked_by_their_prefix(ledger: Database) -> None:
    limits = ("--customer", "a", "--customer", "b", "--expires-in-days", "2")
    rate = ("--requests-per-second", "1.5")
    old = run("api-key", "create", "--client", "shop", *limits, *rate).stdout.strip()
    prefix = old[:15]
    new = run("api-key", "rotate", prefix, "--overlap-hours", "1").stdout.strip()
    ring = KeyRing(ledger)
    assert ring.authenticate(old) == ring.authenticate(new)
    assert ring.authenticate(new).customers == {"a", "b"}
    listed = run("api-key", "list", "--client", "shop", "-o", "table").stdout
    assert [line.split()[0] for line in listed.splitlines()] == ["key", prefix, new[:15]]
    assert old not in listed
    first = json.loads(run("api-key", "list", "--client", "shop").stdout.splitlines()[0])
    assert (first["prefix"], first["customers"], first["revoked_at"]) == (prefix, ["a", "b"], None)
    run("api-key", "revoke", prefix)
    with pytest.raises(Unauthenticated):
        KeyRing(ledger).authenticate(old)
    assert "no such API key" in run("api-key", "rotate", prefix, exit_code=6).stderr
    assert "no such API key" in run("api-key", "revoke", "jr_0", exit_code=6).stderr
    assert run("api-key", "list", "--client", "nobody").stdout == ""
